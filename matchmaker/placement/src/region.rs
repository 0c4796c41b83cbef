//! Residency: where something may run, as lists of countries and regions.
//!
//! A rule is an ISO 3166 code: `DE` covers all of Germany, `US-CA` California alone. A node whose region is
//! not known is allowed nowhere that any rule restricts, because "unknown" is evidence of nothing.

use std::collections::BTreeMap;

/// Codes that allow and forbid. A list that allows nothing in particular allows everything that it does not
/// forbid.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Residency {
    /// Codes it may run in; empty: all.
    pub allow: Vec<String>,
    /// Codes it may never run in; wins over `allow`.
    pub deny: Vec<String>,
}

impl Residency {
    /// Only these codes, all where there are none.
    pub fn only(allow: Vec<String>) -> Self {
        Self { allow, deny: Vec::new() }
    }

    /// Whether it says anything.
    pub fn is_open(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }

    /// Whether a node in `region` may take it.
    pub fn allows(&self, region: &str) -> bool {
        if self.is_open() {
            return true;
        }
        let listed = |rules: &[String]| rules.iter().any(|rule| covers(rule, region));
        !region.is_empty() && (self.allow.is_empty() || listed(&self.allow)) && !listed(&self.deny)
    }
}

/// Whether a code covers a region: the same, or a part of it.
pub fn covers(rule: &str, region: &str) -> bool {
    region.strip_prefix(rule).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// A region, as an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegionId(pub u16);

/// The regions of a fleet, each once.
#[derive(Clone, Debug, Default)]
pub struct Regions {
    names: Vec<String>,
    ids: BTreeMap<String, RegionId>,
}

impl Regions {
    /// The id of a region, a new one where it is new.
    pub fn intern(&mut self, name: &str) -> RegionId {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        let id = RegionId(u16::try_from(self.names.len()).unwrap_or(u16::MAX));
        self.names.push(name.to_owned());
        self.ids.insert(name.to_owned(), id);
        id
    }

    /// The id of a region that is known.
    pub fn find(&self, name: &str) -> Option<RegionId> {
        self.ids.get(name).copied()
    }

    /// What a region is called; empty where it is not known.
    pub fn name(&self, id: RegionId) -> &str {
        self.names.get(usize::from(id.0)).map_or("", String::as_str)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The regions that satisfy all of `rules`, of title, player and job, as a set for many decisions.
    pub fn allowed(&self, rules: &[&Residency]) -> RegionSet {
        let mut set = RegionSet { words: vec![0; self.names.len().div_ceil(64)], open: false };
        if rules.iter().all(|rule| rule.is_open()) {
            set.open = true;
            return set;
        }
        for (at, name) in self.names.iter().enumerate() {
            if rules.iter().all(|rule| rule.allows(name)) {
                set.words[at / 64] |= 1 << (at % 64);
            }
        }
        set
    }
}

/// Regions that something may run in. A region that became known after the set was made is not in it, unless
/// the set is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionSet {
    words: Vec<u64>,
    open: bool,
}

impl RegionSet {
    /// Every region, known or not.
    pub fn open() -> Self {
        Self { words: Vec::new(), open: true }
    }

    /// Whether a region is in it.
    pub fn contains(&self, region: RegionId) -> bool {
        let at = usize::from(region.0);
        self.open || self.words.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allow: &[&str], deny: &[&str]) -> Residency {
        let owned = |codes: &[&str]| codes.iter().map(|code| (*code).to_owned()).collect();
        Residency { allow: owned(allow), deny: owned(deny) }
    }

    #[test]
    fn a_code_covers_its_parts_and_no_other_country() {
        let germany = rules(&["DE"], &[]);
        assert!(germany.allows("DE") && germany.allows("DE-BY"));
        assert!(!germany.allows("DENMARK") && !germany.allows("FR") && !germany.allows(""));
    }

    #[test]
    fn what_is_forbidden_stays_forbidden_whatever_is_allowed() {
        let but_texas = rules(&["US", "CA"], &["US-TX"]);
        assert!(but_texas.allows("US-CA") && but_texas.allows("CA") && !but_texas.allows("US-TX"));
        let not_russia = rules(&[], &["RU"]);
        assert!(not_russia.allows("DE") && !not_russia.allows("RU-MOW") && !not_russia.allows(""));
    }

    #[test]
    fn a_set_says_what_the_rules_say() {
        let mut regions = Regions::default();
        let names = ["", "DE", "DE-BY", "US-CA", "US-TX", "FR"];
        let ids = names.map(|name| regions.intern(name));
        let (title, player) = (rules(&["DE", "US"], &[]), rules(&[], &["US-TX"]));
        let set = regions.allowed(&[&title, &player]);
        for (name, id) in names.iter().zip(ids) {
            assert_eq!(set.contains(id), title.allows(name) && player.allows(name), "{name}");
        }
        assert!(RegionSet::open().contains(RegionId(900)));
    }
}
