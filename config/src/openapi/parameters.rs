//! Parameters keep name, place, need, type and description (OA-07); bodies are for the models.

use super::{Source, field};
use crate::definition::{Location, Parameter, Word};
use crate::source::node::{Entry, Node, Value};

/// One entry of a `parameters` list.
pub enum Read<'a> {
    /// A parameter.
    Parameter(Parameter),
    /// Swagger 2.0: the body.
    Body(Body<'a>),
}

/// A body by Swagger 2.0.
#[derive(Clone, Copy)]
pub struct Body<'a> {
    /// Its schema.
    pub schema: Option<&'a Node>,
    /// Whether it must be there.
    pub required: bool,
}

/// Reads the entries of `parameters`. What has no name or place is passed over with a warning.
pub fn read<'a>(node: &'a Node, from: &mut Source<'a>) -> Vec<Read<'a>> {
    from.list(node, "`parameters`").iter().filter_map(|node| one(node, from)).collect()
}

fn one<'a>(node: &'a Node, from: &mut Source<'a>) -> Option<Read<'a>> {
    let node = from.resolve(node)?;
    let entries = from.entries(node, "a parameter");
    let location = match field(entries, "in") {
        Some(node) => from.text(node, "`in`")?,
        None => {
            from.warn(node.place, "a parameter without `in` is passed over", "write `in: query`, `header` or `path`");
            return None;
        }
    };
    let required = field(entries, "required").and_then(|node| from.flag(node, "`required`")).unwrap_or(false);
    let location = match location.as_str() {
        "path" => Location::Path,
        "query" => Location::Query,
        "header" => Location::Header,
        "formData" => Location::Form,
        "cookie" => Location::Cookie,
        "body" => return Some(Read::Body(Body { schema: field(entries, "schema"), required })),
        other => {
            let what = format!("a parameter in `{other}` is passed over");
            from.warn(location.place(), what, "a parameter stands in `query`, `header` or `path`");
            return None;
        }
    };
    let Some(name) = field(entries, "name").and_then(|node| from.text(node, "`name`")) else {
        from.warn(node.place, "a parameter without `name` is passed over", "write the name that callers use");
        return None;
    };
    Some(Read::Parameter(Parameter {
        name,
        location,
        // A path without its variable is another path.
        required: required || location == Location::Path,
        type_name: type_of(entries, from),
        description: field(entries, "description").and_then(|node| from.string(node, "`description`")),
    }))
}

/// The type of a parameter or of a header field: `type` by Swagger 2.0, `schema.type` by OpenAPI 3.
pub fn type_of<'a>(entries: &'a [Entry], from: &mut Source<'a>) -> Option<String> {
    let schema = match field(entries, "schema") {
        Some(schema) => {
            let schema = from.resolve(schema)?;
            from.entries(schema, "`schema`")
        }
        None => entries,
    };
    let node = field(schema, "type")?;
    // 3.1: `[string, 'null']`.
    let mut types = from.list(node, "`type`").iter();
    let first = types.find(|node| !matches!(&node.value, Value::Scalar(text) if &*text.text == "null"))?;
    from.string(first, "`type`")
}

/// Puts parameters after others; of the same name and place the later one counts.
pub fn override_with(parameters: &mut Vec<Parameter>, later: impl IntoIterator<Item = Parameter>) {
    for parameter in later {
        let same = |known: &&mut Parameter| known.name == parameter.name && known.location == parameter.location;
        match parameters.iter_mut().find(same) {
            Some(known) => *known = parameter,
            None => parameters.push(parameter),
        }
    }
}

/// Media types as 2.0 lists them in `consumes` and `produces`.
pub fn media_types(node: &Node, what: &str, from: &mut Source<'_>) -> Vec<Word> {
    from.list(node, what).iter().filter_map(|node| from.text(node, what)).collect()
}
