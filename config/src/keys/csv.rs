//! Files of API keys in API Gateway's form (KP-02): `Name,Key` and, where wanted, `description,Enabled,UsagePlanIds`, in any order and
//! in any case. `Id` is our own: it names a key that is known already, and keeps counts apart where two keys have the same name.

use std::borrow::Cow;

use super::store::Stored;
use crate::limits;

/// One key of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row<'a> {
    /// Its line, from 1.
    pub line: u64,
    /// Empty: none.
    pub id: Cow<'a, str>,
    /// Empty: none.
    pub name: Cow<'a, str>,
    /// Empty: not in this file.
    pub value: Cow<'a, str>,
    /// Empty: none.
    pub description: Cow<'a, str>,
    /// Whether it opens anything.
    pub enabled: bool,
    /// The plans that it is in.
    pub plans: Vec<Cow<'a, str>>,
    /// Fields behind the last column: probably a comma that should have stood between quotation marks.
    pub surplus: usize,
}

impl Row<'_> {
    /// What is odd about the line, though it is a key.
    pub fn oddity(&self) -> Option<&'static str> {
        let said = "it has more fields than there are columns: a list of plans stands between quotation marks";
        (self.surplus > 0).then_some(said)
    }
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    /// From 1.
    pub line: u64,
    /// What; values of keys are not quoted.
    pub what: String,
}

/// Which column has what.
#[derive(Debug, Clone, Copy, Default)]
struct Columns {
    count: usize,
    id: Option<usize>,
    name: Option<usize>,
    key: Option<usize>,
    description: Option<usize>,
    enabled: Option<usize>,
    plans: Option<usize>,
}

/// Reads a file; `each` is told of every line in its order.
///
/// # Errors
/// The first line does not name the columns, and why; a quotation mark is open at the end: then nobody knows how many lines it has taken,
/// and the keys before it count for nothing either.
pub fn read(bytes: &[u8], mut each: impl FnMut(Result<Row<'_>, BadRow>)) -> Result<(), String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = ::csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(::csv::Trim::All)
        .buffer_capacity(1 << 16)
        .from_reader(bytes);
    let mut record = ::csv::ByteRecord::new();
    if !reader.read_byte_record(&mut record).map_err(|error| plain(&error))? {
        return Err("it is empty: the first line names the columns, such as Name,Key,UsagePlanIds".to_owned());
    }
    let columns = Columns::read(&record)?;
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(false) => return Ok(()),
            Ok(true) => {
                let begins = record.position().map_or(0, |position| position.byte() as usize);
                let line = record.position().map_or(0, |position| line(position, bytes));
                if reader.position().byte() as usize >= bytes.len() && is_open(bytes.get(begins..).unwrap_or_default())
                {
                    return Err(format!("line {line}: a quotation mark is not closed"));
                }
                each(columns.row(&record, line).map_err(|what| BadRow { line, what }));
            }
            // Of bytes in memory nothing else can fail than the shape of a line.
            Err(error) => return Err(plain(&error)),
        }
    }
}

/// Whether the last line of a file ends within quotation marks; the library takes it for closed. They count at the beginning of a field.
fn is_open(record: &[u8]) -> bool {
    let (mut open, mut begins) = (false, true);
    let mut bytes = record.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' if open && bytes.peek() == Some(&b'"') => drop(bytes.next()),
            b'"' if open => open = false,
            b'"' if begins => open = true,
            _ => {}
        }
        begins = !open && matches!(byte, b',' | b'\r' | b'\n');
    }
    open
}

/// The line of a record. The library ends a line at CR: the LF behind it stands in front of the next one.
fn line(position: &::csv::Position, bytes: &[u8]) -> u64 {
    position.line() + u64::from(bytes.get(position.byte() as usize) == Some(&b'\n'))
}

/// What the library says, without the bytes that it might quote.
fn plain(error: &::csv::Error) -> String {
    match error.position() {
        Some(position) => format!("line {} is not CSV", position.line()),
        None => "it is not CSV".to_owned(),
    }
}

impl Columns {
    fn read(record: &::csv::ByteRecord) -> Result<Self, String> {
        let mut columns = Self { count: record.len(), ..Self::default() };
        for (at, name) in record.iter().enumerate() {
            let name = String::from_utf8_lossy(name).to_ascii_lowercase();
            let column = match &*name {
                "id" => &mut columns.id,
                "name" => &mut columns.name,
                "key" => &mut columns.key,
                "description" => &mut columns.description,
                "enabled" => &mut columns.enabled,
                "usageplanids" => &mut columns.plans,
                // What an export adds for people.
                "prefix" | "created" | "" => continue,
                _ => {
                    let shown: String = name.chars().take(40).collect();
                    return Err(format!(
                        "`{shown}` is no column: they are Name, Key, description, Enabled, UsagePlanIds and Id"
                    ));
                }
            };
            if column.replace(at).is_some() {
                return Err(format!("the column `{name}` is there twice"));
            }
        }
        if columns.key.is_none() {
            return Err("there is no column `Key`: the first line names the columns, such as Name,Key".to_owned());
        }
        Ok(columns)
    }

    fn row<'a>(&self, record: &'a ::csv::ByteRecord, line: u64) -> Result<Row<'a>, String> {
        let text = |column: Option<usize>| {
            let bytes = column.and_then(|at| record.get(at)).unwrap_or_default();
            std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| "it is not UTF-8".to_owned())
        };
        let enabled = text(self.enabled)?;
        let enabled = match enabled.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "" => true,
            "false" | "0" | "no" => false,
            _ => return Err("`Enabled` must be true or false".to_owned()),
        };
        let plans = match text(self.plans)? {
            Cow::Borrowed(list) => list.split(',').map(str::trim).filter(|name| !name.is_empty()),
            Cow::Owned(_) => unreachable!("text borrows"),
        };
        let row = Row {
            line,
            id: text(self.id)?,
            name: text(self.name)?,
            value: text(self.key)?,
            description: text(self.description)?,
            enabled,
            plans: plans.take(limits::PLANS_PER_KEY_MAX + 1).map(Cow::Borrowed).collect(),
            // A comma at the end of a line is nothing.
            surplus: record.iter().skip(self.count).filter(|field| !field.is_empty()).count(),
        };
        if row.plans.len() > limits::PLANS_PER_KEY_MAX {
            return Err(format!("more than {} plans of one key", limits::PLANS_PER_KEY_MAX));
        }
        for (what, text, most) in [
            ("name", &row.name, limits::KEY_NAME_CHARS_MAX),
            ("description", &row.description, limits::KEY_NAME_CHARS_MAX),
            ("id", &row.id, limits::PLAN_NAME_CHARS_MAX),
        ] {
            if text.len() > most {
                return Err(format!("its {what} has more than {most} bytes"));
            }
        }
        Ok(row)
    }
}

/// Keys as a file that [`read`] reads: values where they are known, and the first letters of all.
pub fn write<'a>(keys: impl Iterator<Item = (&'a Stored, Option<String>)>) -> String {
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    let header = ["Id", "Name", "Key", "Prefix", "description", "Enabled", "UsagePlanIds"];
    let mut written = writer.write_record(header);
    for (key, value) in keys {
        let Stored { id, name, description, prefix, enabled, plans, .. } = key;
        let enabled = if *enabled { "true" } else { "false" };
        let value = value.unwrap_or_default();
        let fields = [id, name, &value, prefix, description, enabled, &plans.join(",")];
        written = written.and_then(|()| writer.write_record(fields));
    }
    written.expect("memory takes every record");
    let bytes = writer.into_inner().expect("memory takes every record");
    String::from_utf8(bytes).expect("it was made of texts")
}

/// Whether a text can be the id of a key: it stands in files, in logs and on the command line.
pub fn is_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !text.is_empty() && text.len() <= limits::PLAN_NAME_CHARS_MAX && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> (Vec<String>, Result<(), String>) {
        let mut said = Vec::new();
        let read = read(text.as_bytes(), |row| {
            said.push(match row {
                Ok(Row { line, id, name, value, description, enabled, plans, surplus: 0 }) => {
                    format!("{line} {id}|{name}|{value}|{description}|{enabled}|{}", plans.join("+"))
                }
                Ok(row) => format!("{} odd: {}", row.line, row.oddity().expect("there is a surplus")),
                Err(BadRow { line, what }) => format!("{line} bad: {what}"),
            });
        });
        (said, read)
    }

    /// Row KP-02.
    #[test]
    fn columns_come_in_any_order_and_case() {
        let text = "\u{feff}KEY,name,UsagePlanIds,Enabled,DESCRIPTION\r\n\
                    aaaa, Acme ,\"basic, gold\",TRUE,\"says \"\"hi\"\", twice\"\r\n\
                    bbbb,B,basic,false\r\n\
                    cccc,,,,\n";
        let (said, read) = rows(text);
        assert_eq!(read, Ok(()));
        assert_eq!(
            said,
            ["2 |Acme|aaaa|says \"hi\", twice|true|basic+gold", "3 |B|bbbb||false|basic", "4 ||cccc||true|"]
        );
        assert_eq!(rows("Name,Key\n").0, Vec::<String>::new());
    }

    #[test]
    fn what_cannot_be_a_key_is_said_with_its_line() {
        let long = "x".repeat(2_000);
        let text = format!("Name,Key,Enabled\na,v1,maybe\n{long},v2,true\nb,v3,true\n");
        let (said, read) = rows(&text);
        assert_eq!(read, Ok(()));
        assert_eq!(
            said,
            ["2 bad: `Enabled` must be true or false", "3 bad: its name has more than 1024 bytes", "4 |b|v3||true|"]
        );
    }

    #[test]
    fn a_quotation_mark_that_is_not_closed_is_a_fault_and_fields_too_many_are_odd() {
        for (text, line) in [("a,\"v1\nb,v2\n", 2), ("a,v1\nb,\"v2", 3), ("a,v1\n\"b\"\"", 3), ("a,v1\n\"", 3)] {
            let read = rows(&format!("Name,Key\n{text}")).1;
            assert_eq!(read, Err(format!("line {line}: a quotation mark is not closed")), "{text:?}");
        }
        for text in ["\"a\",\"v1\"\n", "a,v\"1", "\"a\"\"b\",v1", "\"a\nb\",v1\n\n", "\"a\"x\",v1"] {
            assert_eq!(rows(&format!("Name,Key\n{text}")).1, Ok(()), "{text:?}");
        }
        let (said, read) = rows("Key,UsagePlanIds\nv1,basic,gold\nv2,basic,,\n");
        assert_eq!(read, Ok(()));
        assert!(said[0].starts_with("2 odd: it has more fields than there are columns"), "{said:?}");
        assert_eq!(said[1], "3 ||v2||true|basic");
    }

    #[test]
    fn the_first_line_names_the_columns() {
        for (text, says) in [
            ("", "it is empty"),
            ("Name,Description\n", "no column `Key`"),
            ("Name,Key,Key\n", "there twice"),
            ("Name,Key,Colour\n", "`colour` is no column"),
            ("aaaaaaaaaaaaaaaaaaaaaaaa,bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n", "is no column"),
        ] {
            let fault = rows(text).1.expect_err(text);
            assert!(fault.contains(says), "{text}: {fault}");
        }
    }

    #[test]
    fn ids() {
        assert!(is_id("acme-1.x_Y") && is_id(&"x".repeat(64)));
        assert!(!is_id("") && !is_id("a b") && !is_id("ä") && !is_id(&"x".repeat(65)));
    }
}
