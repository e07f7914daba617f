//! The one door to ffmpeg: its encoder x264 makes streams, its decoder says what is in them.

use std::process::{Command, Stdio};

/// What `arguments` make of `input`, without a word of complaint.
fn run(arguments: &[&str], input: Vec<u8>) -> Vec<u8> {
    use std::io::Write as _;
    let mut child = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-hide_banner"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("ffmpeg is missing");
    let mut stdin = child.stdin.take().unwrap();
    // It writes while it reads.
    let feeding = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    // It may have read enough before the end.
    drop(feeding.join().unwrap());
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaints.is_empty(),
        "ffmpeg {arguments:?}: {complaints}"
    );
    output.stdout
}

/// A stream of so many pictures of `size`, made by libx264 with these options.
pub fn x264((width, height): (u16, u16), pictures: usize, options: &[&str]) -> Vec<u8> {
    let source = format!("testsrc2=size={width}x{height}:rate=30");
    let count = pictures.to_string();
    let mut arguments = vec!["-f", "lavfi", "-i", &source, "-frames:v", &count];
    arguments.extend(["-c:v", "libx264", "-pix_fmt", "yuv420p", "-bf", "0", "-g", "15"]);
    arguments.extend(["-threads", "1", "-preset", "veryfast"]);
    arguments.extend(options);
    arguments.extend(["-f", "h264", "-"]);
    run(&arguments, Vec::new())
}

/// As [`x264`], of pictures that no encoder can make small: every sample is `next`'s.
pub fn x264_of_noise(
    (width, height): (u16, u16),
    pictures: usize,
    options: &[&str],
    next: impl FnMut() -> u8,
) -> Vec<u8> {
    let samples = usize::from(width) * usize::from(height) * 3 / 2 * pictures;
    let noise = std::iter::repeat_with(next).take(samples).collect();
    let size = format!("{width}x{height}");
    let mut arguments = vec!["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", &size, "-i", "-"];
    arguments.extend([
        "-c:v",
        "libx264",
        "-bf",
        "0",
        "-threads",
        "1",
        "-preset",
        "ultrafast",
    ]);
    arguments.extend(options);
    arguments.extend(["-f", "h264", "-"]);
    run(&arguments, noise)
}

/// A hash of every picture that the decoder gives out of a stream: SHA-256 of its planes.
pub fn hashes(stream: Vec<u8>) -> Vec<String> {
    let decode = [
        "-f",
        "h264",
        "-i",
        "-",
        "-fps_mode",
        "passthrough",
        "-f",
        "framehash",
        "-",
    ];
    let text = String::from_utf8(run(&decode, stream)).unwrap();
    let pictures = text.lines().filter(|line| !line.starts_with('#'));
    pictures
        .map(|line| line.rsplit(',').next().unwrap().trim().to_owned())
        .collect()
}
