//! The table of an object's fields: what the reader reads, what near-miss hints offer, what a schema would publish.

/// The fields of one kind of object.
#[derive(Debug)]
pub struct Table {
    /// As messages call the object: `a route`.
    pub name: &'static str,
    /// In the order of the documentation.
    pub fields: &'static [Field],
}

/// One field.
#[derive(Debug)]
pub struct Field {
    /// As written.
    pub name: &'static str,
    /// What its value is.
    pub is: Type,
    /// One line for a reader.
    pub doc: &'static str,
    /// Words that may stand in place of such a value: `workers: auto`.
    pub words: &'static [&'static str],
    /// What may stand in place of the object, or of each object of the list: `access_log: stdout`.
    pub short: Option<Type>,
    /// Whether the object is at fault without it.
    pub needed: bool,
}

/// What a value is.
#[derive(Debug, Clone, Copy)]
pub enum Type {
    /// Any text.
    Text,
    /// A whole number.
    Number,
    /// A number, which may have a fraction.
    Decimal,
    /// `500ms`, `2s`, `1m`, `1h`.
    Time,
    /// `10MB`, `10MiB`, or a number of bytes.
    Size,
    /// `true` or `false`.
    Flag,
    /// An address to listen at.
    Address,
    /// A path, relative to the document's folder.
    Path,
    /// One word of a closed list.
    Word(&'static [&'static str]),
    /// One object.
    Object(&'static Table),
    /// A list of objects, each of which may be written as a text.
    List(&'static Table),
    /// Objects by name.
    Objects(&'static Table),
    /// Objects by name, each of the kind that its field `type` says, which is the first of every table.
    ObjectsByType(&'static [&'static Table]),
    /// Objects by name; what stands at the name `file` as a text or a list of texts are files with more of them.
    ObjectsAndFiles(&'static Table),
    /// Texts by name.
    Texts,
    /// Texts by name, or such texts by status.
    TextsByStatus,
    /// A list of texts; one text stands for a list of one.
    TextList,
    /// A policy document of IAM, or the path of one.
    Policy,
    /// Known, but not available in this version: an error wherever it is used.
    Later,
}

impl Field {
    /// A field that is read.
    pub const fn new(name: &'static str, is: Type, doc: &'static str) -> Self {
        Self { name, is, doc, words: &[], short: None, needed: false }
    }

    /// The same field, in which one of these words may stand in place of such a value.
    #[must_use]
    pub const fn or(self, words: &'static [&'static str]) -> Self {
        Self { words, ..self }
    }

    /// The same field, in which such a value may stand in place of the object, or of each object of the list.
    #[must_use]
    pub const fn short(self, is: Type) -> Self {
        Self { short: Some(is), ..self }
    }

    /// The same field; the object is at fault without it.
    #[must_use]
    pub const fn needed(self) -> Self {
        Self { needed: true, ..self }
    }

    /// A field that is known, but whose feature is not built: refused, so that nothing that restricts access is ever ignored.
    pub const fn later(name: &'static str, doc: &'static str) -> Self {
        Self::new(name, Type::Later, doc)
    }

    /// Whether the field is read in this version.
    pub const fn is_built(&self) -> bool {
        !matches!(self.is, Type::Later)
    }
}

impl Table {
    /// The field of that name.
    pub fn find(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The built field whose name is nearest, if any is near.
    pub fn nearest(&self, name: &str) -> Option<&'static str> {
        nearest(name, self.fields.iter().filter(|field| field.is_built()).map(|field| field.name))
    }
}

/// The candidate that a slip of the finger would turn into `name`, ignoring case.
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    // A third of the letters may be wrong; one of a short name.
    let most = (name.chars().count() / 3).max(1);
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(&name, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_near() {
        let names = ["integration", "timeout", "retry"];
        assert_eq!(nearest("integraton", names.into_iter()), Some("integration"));
        assert_eq!(nearest("Timeout", names.into_iter()), Some("timeout"));
        assert_eq!(nearest("authorizer", names.into_iter()), None);
        assert_eq!(nearest("", names.into_iter()), None);
    }

    /// A table may be reached from itself.
    fn add(found: &mut Vec<&'static Table>, table: &'static Table) {
        if !found.iter().any(|known| std::ptr::eq(*known, table)) {
            found.push(table);
        }
    }

    /// Every table that can be reached from the document.
    fn tables() -> Vec<&'static Table> {
        let mut found: Vec<&'static Table> = vec![&crate::model::DOCUMENT];
        let mut at = 0;
        while at < found.len() {
            for field in found[at].fields {
                if let Type::Object(table) | Type::List(table) | Type::Objects(table) | Type::ObjectsAndFiles(table) =
                    field.is
                {
                    add(&mut found, table);
                }
                if let Type::ObjectsByType(tables) = field.is {
                    for table in tables {
                        add(&mut found, table);
                    }
                }
            }
            at += 1;
        }
        found
    }

    #[test]
    fn every_field_is_named_once_and_explained() {
        let tables = tables();
        assert!(tables.len() > 10);
        for table in tables {
            for (at, field) in table.fields.iter().enumerate() {
                assert!(!field.doc.is_empty(), "{}.{}", table.name, field.name);
                assert!(
                    table.fields[..at].iter().all(|other| other.name != field.name),
                    "{}.{}",
                    table.name,
                    field.name
                );
            }
        }
    }
}
