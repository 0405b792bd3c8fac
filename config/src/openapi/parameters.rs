//! Parameters keep name, place, need, type and description (OA-07); bodies are for the models.

use std::collections::btree_map::{BTreeMap, Entry as Slot};

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
    if entries.is_empty() {
        return None;
    }
    let Some(location) = field(entries, "in") else {
        from.warn(node.place, "a parameter without `in` is passed over", "write `in: query`, `header` or `path`");
        return None;
    };
    let location = from.text(location, "`in`")?;
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
pub fn override_with(parameters: &mut Vec<Parameter>, later: Vec<Parameter>) {
    if later.is_empty() {
        return;
    }
    let mut positions: BTreeMap<(Location, Word), usize> =
        parameters.iter().enumerate().map(|(at, known)| ((known.location, known.name.clone()), at)).collect();
    for parameter in later {
        match positions.entry((parameter.location, parameter.name.clone())) {
            Slot::Occupied(at) => parameters[*at.get()] = parameter,
            Slot::Vacant(place) => {
                place.insert(parameters.len());
                parameters.push(parameter);
            }
        }
    }
}

/// Media types as 2.0 lists them in `consumes` and `produces`.
pub fn media_types(node: &Node, what: &str, from: &mut Source<'_>) -> Vec<Word> {
    from.list(node, what).iter().filter_map(|node| from.text(node, what)).collect()
}

#[cfg(test)]
mod tests {
    use router::Kind;

    use super::super::tests::{good, with_faults};
    use super::*;
    use crate::openapi::ImportOptions;

    fn shown(text: &str) -> Vec<String> {
        let definition = good(Kind::Rest, text);
        let show = |parameter: &Parameter| {
            let Parameter { name, location, required, type_name, description } = parameter;
            let need = if *required { "!" } else { "" };
            let (kind, words) = (type_name.as_deref().unwrap_or("-"), description.as_deref().unwrap_or("-"));
            format!("{location:?} {name}{need} {kind} {words}")
        };
        definition.methods[0].parameters.iter().map(show).collect()
    }

    #[test]
    fn five_things_are_kept_of_a_parameter() {
        let three = "
openapi: 3.1.0
paths:
  /a/{id}:
    get:
      parameters:
        - {name: id, in: path, description: who, schema: {type: string, format: uuid}, style: simple, example: 5}
        - {name: q, in: query, required: true, schema: {type: [integer, 'null']}}
        - {name: n, in: query, schema: {type: ['null', number]}}
        - {name: X-H, in: header, required: false, schema: {$ref: '#/components/schemas/H'}}
        - {name: c, in: cookie, content: {a/b: {schema: {type: string}}}}
components: {schemas: {H: {type: boolean}}}
";
        let expected =
            ["Path id! string who", "Query q! integer -", "Query n number -", "Header X-H boolean -", "Cookie c - -"];
        assert_eq!(shown(three), expected);
        let two = "
swagger: 2.0
paths: {/a: {get: {parameters: [{name: f, in: formData, type: file}, {name: q, in: query, type: array, items: {}}]}}}
";
        assert_eq!(shown(two), ["Form f file -", "Query q array -"]);
    }

    #[test]
    fn an_operation_overrides_its_path_by_name_and_place() {
        let text = "
openapi: 3.0.0
paths:
  /a:
    parameters:
      - {name: a, in: query, description: of the path}
      - {name: b, in: query, description: of the path}
      - $ref: '#/components/parameters/c'
    get:
      parameters: [{name: a, in: query, description: own}, {name: b, in: header, description: own}]
components: {parameters: {c: {name: c, in: query}}}
";
        assert_eq!(shown(text), ["Query a - own", "Query b - of the path", "Query c - -", "Header b - own"]);
    }

    #[test]
    fn what_names_no_parameter_is_passed_over() {
        let text = "
openapi: 3.0.0
paths:
  /a:
    get:
      parameters:
        - {name: a}
        - {in: query}
        - {name: a, in: heder}
        - text
        - $ref: '#/components/parameters/none'
";
        let (definition, faults) = with_faults(&ImportOptions::new(Kind::Http), text);
        assert!(definition.unwrap().methods[0].parameters.is_empty());
        let expected = "\
a.yaml:7:11: warning: a parameter without `in` is passed over
a.yaml:8:11: warning: a parameter without `name` is passed over
a.yaml:9:25: warning: a parameter in `heder` is passed over
a.yaml:10:11: warning: a parameter must be a mapping, not a text
a.yaml:11:17: error: `$ref: #/components/parameters/none` leads nowhere: there is no `components` on the way";
        assert_eq!(faults, expected);
    }

    #[test]
    fn a_method_has_only_so_many_parameters() {
        let list = (0..=crate::limits::PARAMETERS_MAX)
            .map(|at| format!("{{name: p{at}, in: query}}, "))
            .collect::<Vec<_>>()
            .concat();
        let text = format!("openapi: 3.0.0\npaths: {{/a: {{get: {{parameters: [{list}]}}}}}}\n");
        let (definition, faults) = with_faults(&ImportOptions::new(Kind::Rest), &text);
        assert!(faults.contains("a method has at most"), "{faults}");
        assert_eq!(definition.unwrap().methods[0].parameters.len(), crate::limits::PARAMETERS_MAX);
    }
}
