//! Scripts and what is read of them: words, separators, assignments, redirections, and what is refused.

use super::*;

fn words(script: &str) -> Vec<Vec<String>> {
    let value = |name: &str| (name == "X").then(|| "x y".to_owned());
    let expand = |(_, simple): &(Join, Simple)| {
        simple
            .words
            .iter()
            .filter_map(|word| word.expand(value))
            .collect()
    };
    parse(script).unwrap().iter().map(expand).collect()
}

#[test]
fn quotes_and_variables_make_words() {
    assert_eq!(words(r#"echo a'b c'"d e"\ f"#), [["echo", "ab cd e f"]]);
    assert_eq!(
        words(r#"echo "$X" '$X' ${X}z \$X $ "#),
        [["echo", "x y", "$X", "x yz", "$X", "$"]]
    );
    assert_eq!(
        words(r#"echo $NONE "" '' "a\"b\n""#),
        [["echo", "", "", "a\"b\\n"]]
    );
    assert_eq!(
        words("am start --es k='it'\\''s'"),
        [["am", "start", "--es", "k=it's"]]
    );
}

#[test]
fn separators_decide_when_a_command_runs() {
    let joins = |script| {
        parse(script)
            .unwrap()
            .into_iter()
            .map(|(join, _)| join)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        joins("a; b && c || d"),
        [Join::Always, Join::Always, Join::IfOk, Join::IfFailed]
    );
    assert_eq!(joins("\na\n\nb;\n# no\nc # no"), [Join::Always; 3]);
    assert_eq!(joins(""), []);
}

#[test]
fn assignments_stand_before_the_name_only() {
    let script = parse("CLASSPATH=/a/b.jar app_process / K=v").unwrap();
    let simple = &script[0].1;
    assert_eq!(simple.assignments.len(), 1);
    assert_eq!(simple.assignments[0].1.expand(|_| None).unwrap(), "/a/b.jar");
    assert_eq!(simple.words.len(), 3);
}

#[test]
fn redirections_are_not_words() {
    let script = parse("ls /x 2>/dev/null >> out 2>&1 a2>b").unwrap();
    let simple = &script[0].1;
    assert_eq!(simple.words.len(), 3, "ls, /x, a2");
    let kinds: Vec<_> = simple
        .redirects
        .iter()
        .map(|redirect| (redirect.from, &redirect.to))
        .collect();
    assert!(matches!(
        kinds[..],
        [
            (Fd::Stderr, Target::File(_)),
            (Fd::Stdout, Target::Append(_)),
            (Fd::Stderr, Target::Same(Fd::Stdout)),
            (Fd::Stdout, Target::File(_))
        ]
    ));
}

#[test]
fn what_the_shell_does_not_have_is_refused_by_name() {
    for (script, text) in [
        ("a | b", "|"),
        ("a &", "&"),
        ("a < b", "<"),
        ("$(a)", "$("),
        ("`a`", "`"),
        ("(a)", "("),
    ] {
        assert_eq!(parse(script), Err(SyntaxError::Unsupported(text)), "{script}");
    }
    assert_eq!(parse("; a"), Err(SyntaxError::Unexpected(";".into())));
    assert_eq!(parse("a && ; b"), Err(SyntaxError::Unexpected(";".into())));
    assert_eq!(parse("a >"), Err(SyntaxError::Unexpected("newline".into())));
    assert_eq!(parse("echo 'a"), Err(SyntaxError::OpenQuote));
    assert_eq!(parse(&"a;".repeat(300)), Err(SyntaxError::TooLong));
    // One too many, with nothing after it.
    let most = "a;".repeat(MAX_COMMANDS);
    assert_eq!(parse(&most).map(|commands| commands.len()), Ok(MAX_COMMANDS));
    assert_eq!(parse(&format!("{most}a")), Err(SyntaxError::TooLong));
    assert_eq!(parse(&"a".repeat(MAX_SCRIPT + 1)), Err(SyntaxError::TooLong));
}
