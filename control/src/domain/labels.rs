//! Labels of devices, and selectors that choose devices by them.
//!
//! ```text
//!   device    {"android": "14", "pool": "demo"}      from its agent's config, overlaid by what an admin said
//!   selector  {"android": "14"}                      every pair must be there; {} chooses every device
//! ```
//!
//! A label is a short word under a short key (`protocol::label`): nothing here is free text. It does not know where
//! labels are kept.

use std::collections::BTreeMap;

use protocol::label::{LABELS_MAX, is_key, is_value};

/// The labels of a device. Only keys and values that [`Labels::parse`] lets in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels(BTreeMap<String, String>);

/// Chooses devices by their labels.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector(Labels);

impl Labels {
    /// Takes labels from outside. None when there are too many, or one is not a pair of short words.
    #[must_use]
    pub fn parse(pairs: BTreeMap<String, String>) -> Option<Self> {
        let good =
            pairs.len() <= LABELS_MAX && pairs.iter().all(|(key, value)| is_key(key) && is_value(value));
        good.then_some(Self(pairs))
    }

    /// These labels, with `over`'s in their place where both have a key.
    #[must_use]
    pub fn overlaid(&self, over: &Self) -> Self {
        let mut all = self.0.clone();
        all.extend(over.0.clone());
        Self(all)
    }

    /// The pairs.
    #[must_use]
    pub const fn pairs(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// JSON, for the database.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.0).expect("a map of strings is JSON")
    }

    /// Reads what [`Self::to_json`] wrote.
    #[must_use]
    pub fn from_json(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().and_then(Self::parse)
    }
}

impl Selector {
    /// Chooses the devices that have all of these labels.
    #[must_use]
    pub const fn of(labels: Labels) -> Self {
        Self(labels)
    }

    /// Whether it chooses a device with these labels.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0
            .0
            .iter()
            .all(|(key, value)| labels.0.get(key) == Some(value))
    }

    /// What a device must have.
    #[must_use]
    pub const fn labels(&self) -> &Labels {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Option<Labels> {
        let pairs = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Labels::parse(pairs.collect())
    }

    #[test]
    fn a_selector_chooses_devices_that_have_all_of_its_labels() {
        let device = labels(&[("android", "14"), ("pool", "demo")]).unwrap();
        let chooses = |pairs: &[(&str, &str)]| Selector::of(labels(pairs).unwrap()).matches(&device);
        assert!(chooses(&[]), "an empty selector chooses every device");
        assert!(chooses(&[("android", "14")]));
        assert!(chooses(&[("android", "14"), ("pool", "demo")]));
        assert!(!chooses(&[("android", "13")]));
        assert!(!chooses(&[("android", "14"), ("gpu", "yes")]));
    }

    #[test]
    fn what_an_admin_says_wins_over_the_agents_config() {
        let agent = labels(&[("android", "14"), ("pool", "demo")]).unwrap();
        let admin = labels(&[("pool", "tests")]).unwrap();
        let both = labels(&[("android", "14"), ("pool", "tests")]).unwrap();
        assert_eq!(agent.overlaid(&admin), both);
        assert_eq!(Labels::from_json(&both.to_json()), Some(both));
    }

    #[test]
    fn only_short_words_are_labels_and_only_a_few() {
        for (key, value) in [("", "a"), ("a", ""), ("a b", "c"), ("a", "b/c")] {
            assert_eq!(labels(&[(key, value)]), None, "{key}={value}");
        }
        let count = |most: usize| (0..most).map(|at| (at.to_string(), "x".to_owned())).collect();
        assert!(Labels::parse(count(LABELS_MAX)).is_some());
        assert_eq!(Labels::parse(count(LABELS_MAX + 1)), None);
        assert_eq!(Labels::from_json("[]"), None);
    }
}
