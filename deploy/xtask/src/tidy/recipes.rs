//! Recipes for devices: their compose files are what Compose itself reads, and each of their options is explained.
//!
//! ```text
//!   deploy/recipes/NAME/compose.yaml ── docker-compose config ──► valid
//!          │ keys of services, variables, arguments                    ▲ run by mod.rs
//!          ▼
//!   deploy/recipes/NAME/README.md    | where | `option` | what it does here |     no row without its option, either
//! ```
//!
//! The text is read by its lines, which is enough for files that Compose finds valid and that are written in blocks. It
//! does not know what images do with an option, nor `farglass`'s own: a test of that crate does.

use std::collections::BTreeSet;

use super::{Finding, Source};

pub(super) const FOLDER: &str = "deploy/recipes/";
const COMPOSE: &str = "/compose.yaml";
/// The first column of rows that explain something of the compose file.
const PLACES: [&str; 3] = ["compose", COMMAND, ENVIRONMENT];
/// Keys that only hold what has rows of its own.
const COMMAND: &str = "command";
const ENVIRONMENT: &str = "environment";

/// Every compose file of a recipe.
pub(super) fn compose_files(sources: &[Source]) -> Vec<&Source> {
    let is_recipe = |source: &&Source| source.path.starts_with(FOLDER) && source.path.ends_with(COMPOSE);
    sources.iter().filter(is_recipe).collect()
}

/// `refused` is what Compose says of files that it cannot read.
pub(super) fn check(sources: &[Source], refused: Vec<Finding>) -> Vec<Finding> {
    let mut findings = refused;
    for compose in compose_files(sources) {
        let path = compose.path.replace(COMPOSE, "/README.md");
        let Some(readme) = sources.iter().find(|source| source.path == path) else {
            findings.push(Finding::new(
                &compose.path,
                format!("has no {path} that explains it"),
            ));
            continue;
        };
        let (used, explained) = (options(&compose.text), rows(&readme.text));
        for option in used.difference(&explained) {
            let what = format!("`{option}` is explained in no row of {path}");
            findings.push(Finding::new(&compose.path, what));
        }
        for option in &explained {
            if !used.contains(option) && !compose.text.contains(&format!("${{{option}")) {
                let what = format!("explains `{option}`, which {} does not use", compose.path);
                findings.push(Finding::new(&path, what));
            }
        }
    }
    findings
}

/// Keys of services, names of variables, and names of arguments.
fn options(compose: &str) -> BTreeSet<&str> {
    let services = compose
        .lines()
        .skip_while(|line| !line.starts_with("services:"))
        .skip(1)
        .take_while(|line| line.is_empty() || line.starts_with([' ', '#']));
    services.filter_map(option).collect()
}

/// What a line within the services says; `None` for a service's name, a merge, a comment, or a value in a list.
fn option(line: &str) -> Option<&str> {
    let text = line.trim_start();
    let depth = (line.len() - text.len()) / 2;
    if depth < 2 || text.starts_with(['#', '<']) {
        return None;
    }
    match text.strip_prefix("- ") {
        // An argument of the form NAME=VALUE; ports and volumes are explained by their key.
        Some(item) => Some(item.split_once('=')?.0).filter(|name| !name.contains([':', ' ', '"'])),
        None => Some(text.split_once(':')?.0).filter(|key| ![COMMAND, ENVIRONMENT].contains(key)),
    }
}

/// The options of the table's rows, each in backticks at the begin of its name.
fn rows(readme: &str) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    for line in readme.lines() {
        let mut cells = line.trim_start_matches('|').split('|').map(str::trim);
        let (Some(place), Some(option)) = (cells.next(), cells.next()) else {
            continue;
        };
        if line.starts_with('|') && PLACES.contains(&place) {
            // Every other piece is between backticks.
            let names = option.split('`').skip(1).step_by(2);
            found.extend(names.map(|name| name.split([':', '=', ' ']).next().unwrap_or(name)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = "\
# A comment: of the top.
services:
  one: &one
    image: a/b:c
    # A comment: of the service.
    environment:
      SIZE: \"1\"
      IMAGE: ${FROM:?say}
    command:
      - boot.width=720
      - plain
    ports:
      - \"127.0.0.1:7101:5555\"
  two:
    <<: *one

volumes:
  data:
    driver: x
";
    const TABLE: &str = "\
| Where | Option | What |
|---|---|---|
| compose | `image: a/b:c` | `not` an option |
| compose | `ports: 7101` | |
| compose | no volume | |
| environment | `SIZE`, `IMAGE`, `FROM` | |
| command | `boot.width` | |
";

    fn found(yaml: &str, table: &str) -> Vec<String> {
        let source = |name: &str, text: &str| Source {
            path: format!("{FOLDER}x/{name}"),
            text: text.to_owned(),
        };
        let sources = [source("compose.yaml", yaml), source("README.md", table)];
        let findings = check(&sources, Vec::new());
        findings.into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn what_is_used_and_explained_is_fine() {
        assert_eq!(found(YAML, TABLE), [""; 0]);
    }

    #[test]
    fn an_option_without_a_row_and_a_row_without_its_option_are_found() {
        let told = found(YAML, &TABLE.replace("`SIZE`, ", "`COLOUR`, "));
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("`SIZE` is explained") && told[1].starts_with("explains `COLOUR`"));
        let told = found(&YAML.replace("boot.width", "boot.height"), TABLE);
        assert!(
            told[0].contains("`boot.height`") && told[1].contains("`boot.width`"),
            "{told:?}"
        );
    }

    #[test]
    fn our_own_recipes_have_many_options_and_no_finding() {
        let mut sources = Vec::new();
        for recipe in std::fs::read_dir("../recipes").unwrap() {
            let folder = recipe.unwrap().path();
            for name in ["compose.yaml", "README.md"] {
                if let Ok(text) = std::fs::read_to_string(folder.join(name)) {
                    let recipe = folder.file_name().unwrap().to_str().unwrap();
                    let path = format!("{FOLDER}{recipe}/{name}");
                    sources.push(Source { path, text });
                }
            }
        }
        let used: Vec<usize> = compose_files(&sources)
            .iter()
            .map(|file| options(&file.text).len())
            .collect();
        assert!(
            used.len() == 3 && used.iter().all(|options| *options >= 7),
            "{used:?}"
        );
        assert_eq!(check(&sources, Vec::new()), []);
    }

    #[test]
    fn a_recipe_without_an_explanation_is_found() {
        let alone = [Source {
            path: format!("{FOLDER}x/compose.yaml"),
            text: YAML.to_owned(),
        }];
        assert_eq!(check(&alone, Vec::new()).len(), 1);
    }
}
