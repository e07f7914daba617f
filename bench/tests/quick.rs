//! The whole scenario against a product in miniature: what it asks for, and what its report says.

use std::path::PathBuf;

use bench::{Product, QuickConfig};

mod loopback;

#[tokio::test]
async fn a_quick_run_reports_every_figure_and_leaves_no_link_behind() {
    let (address, calls) = loopback::serve().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| -> PathBuf { folder.path().join(name) };
    std::fs::write(
        file("up.json"),
        r#"{"admin":{"login":"root","password":"secret"}}"#,
    )
    .unwrap();
    let product = Product::Target {
        url: format!("http://{address}/"),
        admin: file("up.json"),
    };
    let config = QuickConfig {
        seconds: 3,
        taps: 4,
        starts: 2,
        json: Some(file("out.json")),
        screenshot: Some(file("out.png")),
        ..QuickConfig::new(product)
    };
    let report = bench::quick(config).await.unwrap();

    let text = report.to_string();
    assert!(!text.contains("not measured"), "a figure is missing:\n{text}");
    for word in [
        "device two 360x640",
        "farglass 9.9.9",
        "Chromium (",
        "this bench",
        "fewer than 100 taps",
    ] {
        assert!(text.contains(word), "{word} is missing:\n{text}");
    }
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(file("out.json")).unwrap()).unwrap();
    let figures = json["figures"].as_array().unwrap();
    assert!(figures.iter().all(|figure| {
        figure["method"]
            .as_str()
            .is_some_and(|method| method.ends_with('.'))
    }));
    assert_eq!(json["run"]["taps"], 4);
    // A process may rest for a whole second, and the kernel counts in ticks of 10 ms; together they cannot.
    let processes = json["processes"].as_array().unwrap();
    let cpu_percent: f64 = processes
        .iter()
        .map(|process| process["cpu_percent"].as_f64().unwrap())
        .sum();
    assert!(cpu_percent > 0.0, "{processes:?}");
    assert!(std::fs::read(file("out.png")).unwrap().starts_with(b"\x89PNG"));

    let calls: Vec<String> = calls
        .lock()
        .unwrap()
        .iter()
        .map(|call| call.trim().to_owned())
        .collect();
    assert_eq!(
        calls,
        [
            "get /api/v1/health",
            r#"post /api/v1/auth/login {"login":"root","password":"secret"}"#,
            "get /api/v1/devices",
            r#"post /api/v1/links {"app":{"package":"dev.farglass.latency"},"device_id":"d2","name":"bench"}"#,
            "delete /api/v1/links/l1",
            "get /api/v1/devices",
            r#"post /api/v1/links {"app":{"package":"dev.farglass.latency"},"device_id":"d2","name":"bench"}"#,
            "delete /api/v1/links/l1",
        ]
    );
}
