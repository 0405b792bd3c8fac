//! What CloudFormation would have filled in: `${AWS::…}` (OA-06), `Ref`, `Fn::Sub` and their kin, and the template around a document.
//!
//! A parsed file is prepared once, before anything is read from it: after [`prepare`] there are texts, lists and mappings, and no
//! function is left. What only a deployment knows becomes a text such as `${Table.Arn}`, which says what is missing; nothing of this is
//! an error, unless it would make too much.

use std::collections::HashMap;

use super::{Variables, field, template};
use crate::diagnostic::{Diagnostics, Place};
use crate::limits;
use crate::source::node::{Entry, Node, Style, Text, Value};

/// The document of a file, every function of CloudFormation carried out as far as that can be done here, and `${AWS::…}` replaced.
/// Of a template it is the document of its first API. `None` after an error: a template without a document.
pub fn prepare(mut root: Node, variables: &Variables, faults: &mut Diagnostics) -> Option<Node> {
    let (mut settings, mut defaults) = (None, HashMap::new());
    if template::is_template(&root) {
        let found = template::open(&root, faults)?;
        root = found.document;
        settings = Some(found.settings);
        defaults = found.defaults;
    }
    let mut filler =
        Filler { variables, defaults, faults, depth: 0, count: 0, first: None, left: limits::IMPORT_BYTES_MAX };
    filler.walk(&mut root);
    if let Some(settings) = &mut settings {
        filler.walk(settings);
        template::restrict(&mut root, settings, filler.faults);
    }
    filler.report();
    Some(root)
}

/// What puts other entries beside those that are there.
fn is_inclusion(name: &str) -> bool {
    name == "Fn::Transform" || name.starts_with("Fn::ForEach::")
}

/// Whether a mapping is a function call. A property of a schema may be called `Ref` as well, but is no text.
fn is_call(entries: &[Entry]) -> bool {
    let [Entry { key, value }] = entries else { return false };
    match &*key.text {
        "Ref" => matches!(value.value, Value::Scalar(_)),
        name => name.starts_with("Fn::") && !is_inclusion(name),
    }
}

struct Filler<'a> {
    variables: &'a Variables,
    defaults: HashMap<Box<str>, Text>,
    faults: &'a mut Diagnostics,
    /// How many calls this one is an argument of.
    depth: usize,
    /// Calls that are no arguments.
    count: usize,
    first: Option<Place>,
    /// Bytes that functions may still make: a name is short, and what it stands for is not.
    left: usize,
}

impl Filler<'_> {
    /// Carries out what is below a node; `false`: the node stands for nothing, and goes.
    fn walk(&mut self, node: &mut Node) -> bool {
        match &mut node.value {
            Value::Scalar(text) => self.replace(text),
            Value::List(list) => list.retain_mut(|node| self.walk(node)),
            Value::Map(entries) if is_call(entries) => {
                if let Some(Entry { key, value }) = entries.pop() {
                    return self.call(&key, value, node);
                }
            }
            Value::Map(entries) => {
                let had_any = !entries.is_empty();
                let mut includes = false;
                entries.retain_mut(|entry| {
                    if is_inclusion(&entry.key.text) {
                        self.included(&entry.key);
                        includes = true;
                        return false;
                    }
                    self.replace(&mut entry.key);
                    self.walk(&mut entry.value)
                });
                // Nothing of it is here: that is not the same as an empty mapping, which somebody wrote.
                if includes && had_any && entries.is_empty() {
                    let nothing = Text { text: Box::default(), place: node.place, style: Style::Plain };
                    node.value = Value::Scalar(nothing);
                }
            }
        }
        true
    }

    /// One warning for all the calls of a document.
    fn report(self) {
        let Some(place) = self.first else { return };
        let what = match self.count {
            1 => "CloudFormation would fill in this value".to_owned(),
            count => format!("CloudFormation would fill in {count} values, this one first"),
        };
        self.faults.warning(
            place,
            what,
            "here it stays a text such as ${Name.Arn}, a parameter has its default, and of an Fn::If the first value is taken; \
             for the real values import what is deployed: aws apigateway get-export, or apigatewayv2 export-api",
        );
    }

    fn included(&mut self, key: &Text) {
        self.faults.warning(
            key.place,
            format!("what CloudFormation would include here by `{}` is missing", key.text),
            "import what is deployed, aws apigateway get-export, or write the part into the document",
        );
    }

    /// `${AWS::…}` in a text (OA-06).
    fn replace(&mut self, text: &mut Text) {
        if !text.text.contains("${AWS::") {
            return;
        }
        let mut out = text.text.to_string();
        for name in ["AccountId", "Region", "Partition"] {
            if let Some(value) = self.variable(name) {
                out = out.replace(&format!("${{AWS::{name}}}"), value);
            }
        }
        change(text, out);
    }

    fn variable(&self, name: &str) -> Option<&str> {
        match name {
            "AccountId" => self.variables.account_id.as_deref(),
            "Region" => self.variables.region.as_deref(),
            "Partition" => self.variables.partition.as_deref(),
            _ => None,
        }
    }

    /// Puts what a call gives in the node's place.
    fn call(&mut self, key: &Text, mut argument: Node, node: &mut Node) -> bool {
        if self.depth == 0 {
            self.count += 1;
            self.first = self.first.or(Some(node.place));
        }
        if &*key.text == "Fn::If" {
            return self.choose(argument, node);
        }
        let at = argument.place;
        self.depth += 1;
        let stays = self.walk(&mut argument);
        self.depth -= 1;
        if !stays {
            return false;
        }
        *node = match (&*key.text, argument.value) {
            ("Ref", Value::Scalar(name)) if &*name.text == "AWS::NoValue" => return false,
            ("Ref", Value::Scalar(name)) => scalar(self.named(&name)),
            ("Fn::Sub", Value::Scalar(text)) => scalar(self.sub(text, &[])),
            ("Fn::Sub", Value::List(list)) => match <[Node; 2]>::try_from(list) {
                Ok([Node { value: Value::Scalar(text), .. }, Node { value: Value::Map(names), .. }]) => {
                    scalar(self.sub(text, &names))
                }
                _ => scalar(opaque(key, &[], at)),
            },
            ("Fn::Base64", value @ Value::Scalar(_)) => Node { value, place: at },
            ("Fn::Join", Value::List(list)) => {
                let joined = join(&list, at, |bytes| self.affords(bytes, at));
                scalar(joined.unwrap_or_else(|| opaque(key, &list, at)))
            }
            ("Fn::Split", Value::List(list)) => {
                let parts = split(&list, at, |bytes| self.affords(bytes, at));
                parts.unwrap_or_else(|| scalar(opaque(key, &list, at)))
            }
            ("Fn::Select", Value::List(list)) => {
                select(&list).cloned().unwrap_or_else(|| scalar(opaque(key, &list, at)))
            }
            ("Fn::GetAtt" | "Fn::FindInMap", Value::List(list)) => scalar(dotted(&list, at)),
            ("Fn::GetAtt", Value::Scalar(text)) => scalar(dotted(&[scalar(text)], at)),
            (_, Value::List(list)) => scalar(opaque(key, &list, at)),
            (_, value) => scalar(opaque(key, &[Node { value, place: at }], at)),
        };
        true
    }

    /// `Fn::If`: the first value, or the second if the first is nothing. Which it is only a deployment knows.
    fn choose(&mut self, argument: Node, node: &mut Node) -> bool {
        let at = argument.place;
        let Value::List(list) = argument.value else {
            *node = scalar(Text { text: "${If}".into(), place: at, style: Style::Block });
            return true;
        };
        self.depth += 1;
        let mut chosen = list.into_iter().skip(1).filter_map(|mut value| self.walk(&mut value).then_some(value));
        let first = chosen.next();
        drop(chosen);
        self.depth -= 1;
        first.map(|value| *node = value).is_some()
    }

    /// Whether functions may make so much more; once they may not, it is an error, and what they give is nothing.
    fn affords(&mut self, bytes: usize, place: Place) -> bool {
        if let Some(left) = self.left.checked_sub(bytes) {
            self.left = left;
            return true;
        }
        self.left = 0;
        let most = limits::IMPORT_BYTES_MAX / (1024 * 1024);
        self.faults.error_hint(
            place,
            format!("the functions of CloudFormation would make more than {most} MiB"),
            "a long text is put in too often: make it shorter",
        );
        false
    }

    /// What a name stands for: a value of ours, a parameter's default, or itself.
    fn named(&mut self, name: &Text) -> Text {
        let default = self.defaults.get(&name.text).map_or(0, |default| default.text.len());
        if !self.affords(default, name.place) {
            return Text { text: Box::default(), place: name.place, style: Style::Block };
        }
        if let Some(value) = name.text.strip_prefix("AWS::").and_then(|name| self.variable(name)) {
            return Text { text: value.into(), place: name.place, style: Style::Block };
        }
        match self.defaults.get(&name.text) {
            Some(default) => Text { place: name.place, ..default.clone() },
            None => Text { text: format!("${{{}}}", name.text).into(), place: name.place, style: Style::Block },
        }
    }

    /// `Fn::Sub`: what is named beside the text or by the template is put in, `${!x}` becomes `${x}`, and the rest stays.
    fn sub(&mut self, mut text: Text, names: &[Entry]) -> Text {
        let mut out = String::with_capacity(text.text.len());
        let mut rest = &*text.text;
        let mut made = 0;
        while let Some((before, after)) = rest.split_once("${") {
            // Each name is looked for among all of them.
            if !self.affords(names.len() + out.len() - made, text.place) {
                return Text { text: Box::default(), place: text.place, style: Style::Block };
            }
            made = out.len();
            out.push_str(before);
            let Some((name, after)) = after.split_once('}') else {
                out.push_str("${");
                rest = after;
                continue;
            };
            rest = after;
            match (name.strip_prefix('!'), field(names, name.trim()).map(|node| &node.value)) {
                (Some(literal), _) => out.extend(["${", literal, "}"]),
                (None, Some(Value::Scalar(value))) => out.push_str(&value.text),
                (None, _) => match self.defaults.get(name.trim()) {
                    Some(default) => out.push_str(&default.text),
                    None => out.extend(["${", name, "}"]),
                },
            }
        }
        out.push_str(rest);
        change(&mut text, out);
        text
    }
}

/// A changed text no longer shows its columns, and is no number or truth.
fn change(text: &mut Text, to: String) {
    if *to != *text.text {
        *text = Text { text: to.into(), place: text.place, style: Style::Block };
    }
}

fn scalar(text: Text) -> Node {
    Node { place: text.place, value: Value::Scalar(text) }
}

/// The text of a scalar.
fn text_of(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Scalar(text) => Some(&text.text),
        Value::List(_) | Value::Map(_) => None,
    }
}

/// `Fn::Join: [delimiter, [texts]]`
fn join(list: &[Node], place: Place, affords: impl FnOnce(usize) -> bool) -> Option<Text> {
    let [delimiter, Node { value: Value::List(parts), .. }] = list else { return None };
    let (delimiter, parts) = (text_of(delimiter)?, parts.iter().map(text_of).collect::<Option<Vec<&str>>>()?);
    let bytes = parts.iter().map(|part| part.len() + delimiter.len()).sum();
    affords(bytes).then(|| Text { text: parts.join(delimiter).into(), place, style: Style::Block })
}

/// `Fn::Split: [delimiter, text]`
fn split(list: &[Node], place: Place, affords: impl FnOnce(usize) -> bool) -> Option<Node> {
    let [delimiter, text] = list else { return None };
    let (delimiter, text) = (text_of(delimiter).filter(|delimiter| !delimiter.is_empty())?, text_of(text)?);
    if !affords(text.len() + text.matches(delimiter).count() * size_of::<Node>()) {
        return None;
    }
    let part = |part: &str| scalar(Text { text: part.into(), place, style: Style::Block });
    Some(Node { value: Value::List(text.split(delimiter).map(part).collect()), place })
}

/// `Fn::Select: [index, list]`
fn select(list: &[Node]) -> Option<&Node> {
    let [index, Node { value: Value::List(values), .. }] = list else { return None };
    values.get(text_of(index)?.parse::<usize>().ok()?)
}

/// `${Resource.Attribute}`
fn dotted(parts: &[Node], place: Place) -> Text {
    let parts: Vec<String> = parts.iter().filter_map(text_of).map(bare).collect();
    Text { text: format!("${{{}}}", parts.join(".")).into(), place, style: Style::Block }
}

/// A call that only a deployment can carry out: `${ImportValue.Name}`
fn opaque(key: &Text, arguments: &[Node], place: Place) -> Text {
    let name = key.text.strip_prefix("Fn::").unwrap_or(&key.text);
    let parts = std::iter::once(name.to_owned()).chain(arguments.iter().filter_map(text_of).map(bare));
    Text { text: format!("${{{}}}", parts.collect::<Vec<_>>().join(".")).into(), place, style: Style::Block }
}

/// A text that may stand within `${…}`.
fn bare(text: &str) -> String {
    text.replace("${", "").replace('}', "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Source as File;
    use crate::source::node;

    fn prepared(text: &str, variables: &Variables) -> (Option<Node>, Diagnostics) {
        let mut faults = Diagnostics::default();
        faults.sources.push(File { name: "api.yaml".into(), text: text.into() });
        let root = node::parse(text, 0, &mut faults).expect("the document parses");
        let root = prepare(root, variables, &mut faults);
        (root, faults)
    }

    #[test]
    fn functions_cannot_make_much_of_little() {
        let (long, many) = ("x".repeat(1_000_000), 1_000);
        for text in [
            format!("a: !Sub ['{}', {{b: {long}}}]\n", "${b}".repeat(many)),
            format!("a: !Join [{long}, [{}]]\n", "b,".repeat(many)),
            format!("a: !Split [',', '{}']\n", ",".repeat(10 * long.len())),
        ] {
            let mut faults = Diagnostics::default();
            let root = node::parse_by(node::Author::Public, &text, 0, &mut faults).expect("the document parses");
            assert!(prepare(root, &Variables::default(), &mut faults).is_some());
            assert!(faults.list.iter().any(|fault| fault.what.contains("would make more than")), "{:?}", faults.list);
        }
    }

    /// The value of the field `a`, as one line.
    fn value(text: &str) -> String {
        let (root, _) = prepared(text, &Variables::default());
        let Value::Map(entries) = root.unwrap().value else { panic!() };
        entries.iter().find(|entry| &*entry.key.text == "a").map_or("nothing".to_owned(), |entry| line(&entry.value))
    }

    fn line(node: &Node) -> String {
        match &node.value {
            Value::Scalar(text) => text.text.to_string(),
            Value::List(list) => format!("[{}]", list.iter().map(line).collect::<Vec<_>>().join(", ")),
            Value::Map(entries) => {
                let entries = entries.iter().map(|entry| format!("{}: {}", entry.key.text, line(&entry.value)));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
            }
        }
    }

    #[test]
    fn functions_are_carried_out() {
        for (call, is) in [
            ("{Ref: Table}", "${Table}"),
            ("{Ref: 'AWS::Region'}", "${AWS::Region}"),
            ("{Ref: {type: string}}", "{Ref: {type: string}}"),
            ("{'Fn::GetAtt': [Role, Arn]}", "${Role.Arn}"),
            ("{'Fn::GetAtt': Role.Arn}", "${Role.Arn}"),
            ("{'Fn::Sub': 'x-${Fn.Arn}-${!stageVariables.y}'}", "x-${Fn.Arn}-${stageVariables.y}"),
            ("{'Fn::Sub': ['${A}/${B}/${ C }', {A: x, B: {Ref: Y}, C: z}]}", "x/${Y}/z"),
            ("{'Fn::Sub': 'open ${ end'}", "open ${ end"),
            ("{'Fn::Join': ['', [a, {Ref: B}, c]]}", "a${B}c"),
            ("{'Fn::Join': [',', {Ref: List}]}", "${Join.,.List}"),
            ("{'Fn::Select': [1, [x, y]]}", "y"),
            ("{'Fn::Select': [1, {'Fn::Split': ['/', 'x/y']}]}", "y"),
            ("{'Fn::Select': [7, [x]]}", "${Select.7}"),
            ("{'Fn::ImportValue': {'Fn::Sub': '${Stack}-Link'}}", "${ImportValue.Stack-Link}"),
            ("{'Fn::FindInMap': [Sizes, {Ref: Env}, small]}", "${Sizes.Env.small}"),
            ("{'Fn::If': [IsProd, x, y]}", "x"),
            ("{'Fn::If': [IsProd, {Ref: 'AWS::NoValue'}, {b: {Ref: C}}]}", "{b: ${C}}"),
            ("{'Fn::If': [IsProd, {Ref: 'AWS::NoValue'}, {Ref: 'AWS::NoValue'}]}", "nothing"),
            ("{Ref: 'AWS::NoValue'}", "nothing"),
            ("[x, {Ref: 'AWS::NoValue'}, y]", "[x, y]"),
            ("{'Fn::Transform': {Name: 'AWS::Include'}, b: c}", "{b: c}"),
            ("{'Fn::Base64': x}", "x"),
            ("{'Fn::Unheard': [x, y]}", "${Unheard.x.y}"),
            ("{'Fn::Unheard': {x: y}}", "${Unheard}"),
            ("{'Fn::If': x}", "${If}"),
        ] {
            assert_eq!(value(&format!("a: {call}\n")), is, "{call}");
        }
    }

    #[test]
    fn one_warning_counts_the_calls() {
        let (_, faults) = prepared("a: {Ref: B}\nb: [{'Fn::Join': ['', [x, {Ref: C}]]}]\n", &Variables::default());
        assert_eq!(faults.list.len(), 1);
        assert_eq!(faults.list[0].what, "CloudFormation would fill in 2 values, this one first");
        assert_eq!((faults.list[0].place.line, faults.list[0].place.column), (1, 4));
        assert!(!faults.has_errors());
    }

    #[test]
    fn aws_variables_are_replaced_where_they_are_known() {
        let text = "a: 'arn:${AWS::Partition}:x:${AWS::Region}:${AWS::AccountId}:${AWS::StackName}'\n";
        let (root, faults) = prepared(text, &Variables::default());
        assert_eq!(
            line(&root.unwrap()),
            "{a: arn:${AWS::Partition}:x:${AWS::Region}:${AWS::AccountId}:${AWS::StackName}}"
        );
        assert_eq!(faults.render(false), "");
        let known = Variables {
            account_id: Some("123456789012".into()),
            region: Some("eu-west-1".into()),
            partition: Some("aws".into()),
        };
        let (root, faults) = prepared(text, &known);
        assert_eq!(line(&root.unwrap()), "{a: arn:aws:x:eu-west-1:123456789012:${AWS::StackName}}");
        assert_eq!(faults.render(false), "");
        let (root, _) = prepared("a: {Ref: 'AWS::Region'}\nb: {'Fn::Sub': 'x-${AWS::Region}'}\n", &known);
        assert_eq!(line(&root.unwrap()), "{a: eu-west-1, b: x-eu-west-1}");
    }
}
