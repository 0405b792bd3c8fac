//! Firewalls (POL-04), from what was written to what is asked of requests.

use std::collections::BTreeMap;
use std::path::Path;

use policy::firewall::{
    Compare, DEFAULT, Firewall, Managed, Parts, Rate, Rule, Search, SearchFault, Step, Subject, Test, TextTest, Then,
    When, is_rule_name,
};
use policy::limits::{
    FIREWALL_NAME_BYTES_MAX, FIREWALL_RANGES_MAX, FIREWALL_TEXT_BYTES_MAX, FIREWALL_TEXTS_MAX, THROTTLED_CLIENTS,
};
use policy::networks::{Network, Networks};
use policy::throttle::Limit;

use crate::compile::throttles::line_of;
use crate::diagnostic::{Diagnostics, Place};
use crate::limits::FAULTS_MAX;
use crate::model::firewall::{FirewallSpec, How, RateSpec, RuleSpec, SetSpec, TextSpec, WhenSpec};
use crate::model::trust;
use crate::source;
use crate::source::node::{Style, Text};

/// What is made while rules are read.
struct Maker<'a> {
    /// Every set that a rule may name: its number, where it stands, and whether a rule does.
    named: BTreeMap<&'a str, (u16, Place, bool)>,
    sets: Vec<Networks>,
    faults: &'a mut Diagnostics,
}

/// Compiles a firewall; `None` if there is none, or none that could be served. Files are taken from `base`.
pub fn compile(spec: Option<&FirewallSpec>, base: &Path, faults: &mut Diagnostics) -> Option<Firewall> {
    let FirewallSpec { place, blocks, sets, rules } = spec?;
    let before = faults.list.len();
    let mut maker = Maker { named: BTreeMap::new(), sets: Vec::new(), faults };
    for set in sets {
        maker.set(set, base);
    }
    let compiled: Vec<Rule> = rules.iter().filter_map(|rule| maker.rule(rule)).collect();
    maker.look_over(rules, *blocks, *place);
    let Maker { sets, faults, .. } = maker;
    let parts = Parts { blocks: *blocks, sets: sets.into(), rules: compiled.into(), line: line_of(*place) };
    match Firewall::try_from(parts) {
        Ok(firewall) => Some(firewall),
        // A rule that is at fault by itself is told by itself.
        Err(_) if faults.list.len() > before && faults.has_errors() => None,
        Err(unsound) => {
            faults.error_hint(*place, format!("the firewall cannot be served: {unsound}"), "write fewer of them");
            None
        }
    }
}

impl<'a> Maker<'a> {
    fn set(&mut self, spec: &'a SetSpec, base: &Path) {
        let SetSpec { name, addresses, files } = spec;
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        if name.text.is_empty() || !name.text.bytes().all(fits) || matches!(&*name.text, "unix") {
            let hint = "letters, digits, `-` and `_`, so that it cannot be taken for an address";
            self.faults.error_hint(name.place, format!("`{}` cannot be the name of a set", name.text), hint);
        }
        if addresses.is_empty() && files.is_empty() {
            let hint = "write `addresses: [10.0.0.0/8]` or `file: office.txt`";
            self.faults.error_hint(name.place, format!("the set `{}` has no addresses", name.text), hint);
        }
        let (mut all, mut unix) = (Vec::new(), false);
        for text in addresses {
            self.range(text, &mut all, &mut unix);
        }
        for file in files {
            self.file(&base.join(&*file.text), &mut all, &mut unix);
        }
        if all.len() > FIREWALL_RANGES_MAX {
            self.faults
                .error(name.place, format!("the set `{}` has more than {FIREWALL_RANGES_MAX} ranges", name.text));
            all.clear();
        }
        let number = self.add(Networks::new(all, unix));
        self.named.insert(&name.text, (number, name.place, false));
    }

    fn add(&mut self, networks: Networks) -> u16 {
        self.sets.push(networks);
        // Beyond 65,535 of them the firewall is refused as a whole.
        u16::try_from(self.sets.len() - 1).unwrap_or(u16::MAX)
    }

    fn range(&mut self, text: &Text, all: &mut Vec<Network>, unix: &mut bool) {
        if &*text.text == "unix" {
            *unix = true;
        } else {
            all.extend(trust::range(text, self.faults));
        }
    }

    /// One range on each line.
    fn file(&mut self, path: &Path, all: &mut Vec<Network>, unix: &mut bool) {
        let Some(source) = source::file::read(path, self.faults) else { return };
        let whole = std::mem::take(&mut self.faults.sources[usize::from(source)].text);
        for (number, line) in whole.lines().enumerate().take(FIREWALL_RANGES_MAX * 2) {
            let words = line.split('#').next().unwrap_or_default().trim();
            if words.is_empty() {
                continue;
            }
            let column = (line.len() - line.trim_start().len()) as u32 + 1;
            let place = Place { source, line: number as u32 + 1, column, length: words.chars().count() as u32 };
            self.range(&Text { text: words.into(), place, style: Style::Plain }, all, unix);
            // More of them are not told.
            if self.faults.list.len() >= FAULTS_MAX {
                break;
            }
        }
        self.faults.sources[usize::from(source)].text = whole;
    }

    fn rule(&mut self, spec: &RuleSpec) -> Option<Rule> {
        let RuleSpec { place, name, when, rate, then } = spec;
        let name = name.as_ref()?;
        if !is_rule_name(&name.text) || &*name.text == DEFAULT {
            let hint = format!(
                "at most {FIREWALL_NAME_BYTES_MAX} letters, digits, `-` and `_`; not {DEFAULT}, which stands for no rule"
            );
            self.faults.error_hint(name.place, format!("`{}` cannot be the name of a rule", name.text), hint);
            return None;
        }
        let when = match when {
            Some(when) => self.when(when)?,
            None => When::All(Box::default()),
        };
        if let (Some(rate), Some(Then::Allow)) = (rate, then) {
            let what = "this rule lets pass whoever is too fast, and no later rule is asked";
            self.faults.error_hint(rate.place, what, "write `then: block`, or `then: count`");
        }
        let rate = match rate {
            Some(RateSpec { place: _, limit, window, clients }) => {
                let limit = f64::from((*limit)?);
                let limit = Limit::new(limit / window.as_secs_f64(), limit);
                Some(Rate { limit, clients: clients.unwrap_or(THROTTLED_CLIENTS) })
            }
            None => None,
        };
        Some(Rule { name: name.text.clone(), when, rate, then: (*then)?, line: line_of(*place) })
    }

    /// What is odd of the rules together.
    fn look_over(&mut self, rules: &[RuleSpec], blocks: bool, place: Place) {
        let mut seen: BTreeMap<&str, Place> = BTreeMap::new();
        for name in rules.iter().filter_map(|rule| rule.name.as_ref()) {
            if let Some(first) = seen.insert(&name.text, name.place) {
                let hint = format!("line {} has that name already", first.line);
                self.faults.error_hint(name.place, format!("two rules are called `{}`", name.text), hint);
            }
        }
        for (name, (_, place, _)) in self.named.iter().filter(|(_, (_, _, used))| !used) {
            self.faults.warning(*place, format!("no rule names the set `{name}`"), "write `when: {address: …}`");
        }
        let is_last = |rule: &&RuleSpec| {
            rule.when.is_none() && rule.rate.is_none() && rule.then.is_some_and(|then| then != Then::Count)
        };
        if let Some(at) = rules.iter().position(|rule| is_last(&rule))
            && let Some(next) = rules.get(at + 1)
        {
            let what = "no request comes to this rule: the one before it is for all of them";
            self.faults.warning(next.place, what, "give that one a `when`, or let it be the last");
        }
        if blocks && !rules.iter().any(|rule| rule.then == Some(Then::Allow)) {
            let what = "nobody passes: the firewall blocks what no rule allows, and no rule allows anything";
            self.faults.warning(place, what, "write a rule with `then: allow`");
        }
        if rules.is_empty() && !blocks {
            self.faults.warning(
                place,
                "this firewall has no rules",
                "write `rules: [{name: …, when: {…}, then: block}]`",
            );
        }
    }

    fn when(&mut self, spec: &WhenSpec) -> Option<When> {
        let WhenSpec { place, address, method, path, header, query, larger, managed, not, all, any } = spec;
        // What costs least is asked first. All are made before one of them fails: each may be at fault.
        let mut made: Vec<Option<When>> = Vec::new();
        if !address.is_empty() {
            made.push(Some(self.address(address)));
        }
        if !method.is_empty() {
            made.push(self.method(method));
        }
        if !larger.is_empty() {
            let sizes = larger.iter().map(|(part, bytes)| When::Is(Test::Larger(*part, *bytes)));
            made.push(Some(one_of(sizes.collect())));
        }
        for (text, of) in [(path, Of::Path), (header, Of::Header), (query, Of::Query)] {
            made.extend(text.as_ref().map(|text| self.text(text, of)));
        }
        made.extend(not.as_ref().map(|when| Some(When::Not(Box::new(self.when(when)?)))));
        for when in all {
            made.push(self.when(when));
        }
        if let Some(any) = any {
            let any: Vec<Option<When>> = any.iter().map(|when| self.when(when)).collect();
            made.push(any.into_iter().collect::<Option<Vec<_>>>().map(one_of));
        }
        if !managed.is_empty() {
            let groups = Managed::new(managed.iter().copied());
            made.push(Some(When::Is(Test::Managed(Box::new(groups)))));
        }
        if made.is_empty() {
            let hint =
                "write what it is about, such as `path: {prefix: /admin}`; a rule without `when` is for all requests";
            self.faults.error_hint(*place, "nothing is asked here", hint);
            return None;
        }
        let mut made = made.into_iter().collect::<Option<Vec<_>>>()?;
        if made.len() == 1 { made.pop() } else { Some(When::All(made.into())) }
    }

    /// Sets by name, and ranges, which become a set without one.
    fn address(&mut self, texts: &[Text]) -> When {
        let (mut all, mut unix, mut any) = (Vec::new(), false, Vec::new());
        for text in texts {
            if let Some((number, _, used)) = self.named.get_mut(&*text.text) {
                *used = true;
                any.push(When::Is(Test::Address(*number)));
            } else if text.text.contains(['.', ':']) || &*text.text == "unix" {
                self.range(text, &mut all, &mut unix);
            } else {
                let hint = "write it under `sets`, or write an address or a range";
                self.faults.error_hint(text.place, format!("there is no set `{}`", text.text), hint);
            }
        }
        if !all.is_empty() || unix {
            let number = self.add(Networks::new(all, unix));
            any.push(When::Is(Test::Address(number)));
        }
        one_of(any)
    }

    fn method(&mut self, texts: &[Text]) -> Option<When> {
        let mut is_right = texts.len() <= FIREWALL_TEXTS_MAX;
        if let Some(many) = texts.get(FIREWALL_TEXTS_MAX) {
            self.faults.error(many.place, format!("more than {FIREWALL_TEXTS_MAX} methods"));
        }
        for text in texts {
            let is_verb = |byte: u8| byte.is_ascii_uppercase() || byte == b'-';
            if text.text.is_empty() || !text.text.bytes().all(is_verb) {
                let hint = "methods are written as they are sent: GET, POST; leave `method` out for any";
                self.faults.error_hint(text.place, format!("`{}` is not a method", text.text), hint);
                is_right = false;
            }
        }
        is_right.then(|| When::Is(Test::Method(texts.iter().map(|text| text.text.clone()).collect())))
    }

    fn text(&mut self, spec: &TextSpec, of: Of) -> Option<When> {
        let TextSpec { place, name, present, compare, transform } = spec;
        let subject = match (of, name) {
            (Of::Path, _) => Subject::Path,
            (Of::Query, None) => Subject::Query,
            (Of::Query, Some(name)) => Subject::Parameter(name.text.clone()),
            (Of::Header, name) => {
                let name = name.as_ref()?;
                self.header_name(name)?;
                Subject::Header(name.text.clone())
            }
        };
        let usual = match of {
            Of::Path => vec![Step::UrlDecode { plus: false }],
            Of::Query => vec![Step::UrlDecode { plus: true }],
            Of::Header => Vec::new(),
        };
        let steps = transform.clone().unwrap_or(usual).into();
        let compare = match (present, &compare[..]) {
            (Some(at), []) => {
                let when = When::Is(Test::Text(Box::new(TextTest { subject, steps, compare: Compare::Present })));
                return Some(if at.value { when } else { When::Not(Box::new(when)) });
            }
            (None, [(how, texts, place)]) => self.compare(*how, texts, *place)?,
            _ => {
                let hint = "write one of `equals`, `prefix`, `suffix`, `contains`, `regex` and, for fields and parameters, `present`; \
                            `all` and `any` join more";
                self.faults.error_hint(*place, "it is not said, or said twice, how this is compared", hint);
                return None;
            }
        };
        Some(When::Is(Test::Text(Box::new(TextTest { subject, steps, compare }))))
    }

    fn header_name(&mut self, name: &Text) -> Option<()> {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.text.is_empty() || !name.text.bytes().all(is_token) {
            self.faults.error(name.place, format!("`{}` is not the name of a header field", name.text));
            return None;
        }
        if name.text.contains('_') {
            let hint = "fields with `_` in their names are left out of requests (row S10): this rule would never hold";
            self.faults.error_hint(name.place, format!("the field `{}` is never seen", name.text), hint);
            return None;
        }
        Some(())
    }

    fn compare(&mut self, how: How, texts: &[Text], place: Place) -> Option<Compare> {
        if texts.is_empty() || texts.len() > FIREWALL_TEXTS_MAX {
            self.faults
                .error(place, format!("it is compared with 1 to {FIREWALL_TEXTS_MAX} texts, not {}", texts.len()));
            return None;
        }
        // `equals: ""` is a question; `contains: ""` is none.
        let is_odd =
            |text: &&Text| text.text.len() > FIREWALL_TEXT_BYTES_MAX || (text.text.is_empty() && how != How::Equals);
        if let Some(text) = texts.iter().find(is_odd) {
            self.faults.error(text.place, format!("a text to compare with has 1 to {FIREWALL_TEXT_BYTES_MAX} bytes"));
            return None;
        }
        let all = texts.iter().map(|text| text.text.clone()).collect();
        let search = match how {
            How::Equals => return Some(Compare::Equals(all)),
            How::Prefix => return Some(Compare::Prefix(all)),
            How::Suffix => return Some(Compare::Suffix(all)),
            How::Contains => Search::of_texts(all),
            How::Regex => Search::of_expressions(all),
        };
        match search {
            Ok(search) => Some(Compare::Finds(search)),
            Err(SearchFault(at, what)) => {
                let hint = "expressions of bytes, without looking ahead or behind and references back: nothing that could take long";
                let what = format!("`{}` cannot be used: {what}", texts[at].text);
                self.faults.error_hint(texts[at].place, what, hint);
                None
            }
        }
    }
}

/// Which text is meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Path,
    Header,
    Query,
}

fn one_of(mut list: Vec<When>) -> When {
    if list.len() == 1 { list.remove(0) } else { When::Any(list.into()) }
}
