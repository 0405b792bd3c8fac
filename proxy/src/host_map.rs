//! Values by host name, as domains are written: the name itself, then `*.example.com`, then `*`.

use std::cmp::Ordering;

/// See the module. Case and a trailing dot make no difference; to look allocates nothing.
pub struct HostMap<T> {
    exact: Vec<(Box<str>, T)>,
    /// By what follows `*.`, which stands for one label.
    wildcard: Vec<(Box<str>, T)>,
    any: Option<T>,
}

impl<T> Default for HostMap<T> {
    fn default() -> Self {
        Self { exact: Vec::new(), wildcard: Vec::new(), any: None }
    }
}

impl<T> HostMap<T> {
    /// Of names in lower case, without a trailing dot.
    pub fn new(entries: impl IntoIterator<Item = (Box<str>, T)>) -> HostMap<T> {
        let mut map = HostMap::default();
        for (name, value) in entries {
            match name.strip_prefix("*.") {
                Some(rest) => map.wildcard.push((rest.into(), value)),
                None if &*name == "*" => map.any = Some(value),
                None => map.exact.push((name, value)),
            }
        }
        map.exact.sort_by(|(one, _), (other, _)| one.cmp(other));
        map.wildcard.sort_by(|(one, _), (other, _)| one.cmp(other));
        map
    }

    /// Whether there is nothing to find.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wildcard.is_empty() && self.any.is_none()
    }

    /// The value of the name that is nearest.
    pub fn get(&self, host: &[u8]) -> Option<&T> {
        if self.exact.is_empty() && self.wildcard.is_empty() {
            return self.any.as_ref();
        }
        let host = host.strip_suffix(b".").unwrap_or(host);
        let below = || {
            let dot = host.iter().position(|byte| *byte == b'.').filter(|dot| *dot > 0)?;
            find(&self.wildcard, &host[dot + 1..])
        };
        find(&self.exact, host).or_else(below).or(self.any.as_ref())
    }
}

fn find<'a, T>(list: &'a [(Box<str>, T)], name: &[u8]) -> Option<&'a T> {
    let at = list.binary_search_by(|(known, _)| compare(known.as_bytes(), name)).ok()?;
    Some(&list[at].1)
}

/// Compares a name in lower case with one in any.
fn compare(known: &[u8], name: &[u8]) -> Ordering {
    known.iter().copied().cmp(name.iter().map(u8::to_ascii_lowercase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found() {
        let map = HostMap::new(["b.test", "*.test", "a.b.test", "*.b.test"].map(|name| (name.into(), name)));
        for (host, found) in [
            ("b.test", Some("b.test")),
            ("B.Test.", Some("b.test")),
            ("c.test", Some("*.test")),
            ("a.b.test", Some("a.b.test")),
            ("c.b.test", Some("*.b.test")),
            ("x.c.b.test", None),
            ("test", None),
            (".test", None),
            ("", None),
        ] {
            assert_eq!(map.get(host.as_bytes()).copied(), found, "{host}");
        }
        let any = HostMap::new([("*".into(), 1), ("a.test".into(), 2)]);
        assert_eq!((any.get(b"a.test"), any.get(b"")), (Some(&2), Some(&1)));
        assert!(HostMap::<u8>::default().is_empty() && !any.is_empty());
    }
}
