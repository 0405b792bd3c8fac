//! `type: basic`: callers show a name and a password (RFC 7617).

use serde_json::{Map, Value as Json, json};

use crate::model::field::{Field, Table, Type};
use crate::model::reader::Reader;
use crate::source::node::{Entry, Node, Text, Value};

/// An authorizer for names and passwords, as written.
#[derive(Debug, Clone)]
pub struct BasicSpec {
    /// A file of names and hashes.
    pub file: Option<Text>,
    /// Names, each with a hash or where that is.
    pub users: Vec<(Text, Text)>,
    /// What browsers show their users.
    pub realm: Option<Text>,
    /// Whether the backend gets the field as well.
    pub forward: Option<bool>,
}

/// The fields of an authorizer for names and passwords.
pub const BASIC: Table = Table {
    name: "a basic authorizer",
    fields: &[
        Field::new("type", Type::Word(&["basic"]), "basic: callers show a name and a password").needed(),
        Field::new(
            "users",
            Type::Texts,
            "names, each with the hash of its password or ${file:path}, ${env:NAME} or ${credential:name}; under `file` a file of htpasswd",
        )
        .needed(),
        Field::new("realm", Type::Text, "what browsers show when they ask for the password; the authorizer's name by default"),
        Field::new("forward", Type::Flag, "true: the backend gets the Authorization field, password included"),
    ],
};

impl BasicSpec {
    /// Reads one.
    pub fn read(name: &Text, node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let object = reader.object(node, &BASIC)?;
        // Whoever calls has read it.
        let _ = object.get("type");
        let (errors, _) = reader.faults.counts();
        let (file, users) = object.get("users").map(|node| users(node, reader)).unwrap_or_default();
        let has_users = file.is_some() || !users.is_empty();
        if !has_users && (object.lacks("users") || object.get("users").is_some() && reader.faults.counts().0 == errors)
        {
            let what = format!("authorizer `{}` has no users", name.text);
            reader.faults.error_hint(name.place, what, "write `users: {file: users.htpasswd}`");
        }
        let realm = object.get("realm").and_then(|node| reader.text(node, "`realm`"));
        let forward = object.get("forward").and_then(|node| reader.flag(node, "`forward`"));
        object.close();
        // Without a user it is at fault already.
        has_users.then_some(Self { file, users, realm, forward })
    }

    /// In the form of `x-amazon-apigateway-authorizer`; AWS has nothing like it.
    pub fn to_json(&self) -> Json {
        let mut own = Map::new();
        own.extend(self.file.as_ref().map(|file| ("usersFile".to_owned(), Json::from(&*file.text))));
        if !self.users.is_empty() {
            let users: Map<String, Json> =
                self.users.iter().map(|(name, hash)| (name.text.to_string(), Json::from(&*hash.text))).collect();
            own.insert("users".to_owned(), users.into());
        }
        own.extend(self.realm.as_ref().map(|realm| ("realm".to_owned(), Json::from(&*realm.text))));
        own.extend(self.forward.map(|forward| ("forward".to_owned(), Json::from(forward))));
        json!({ "type": "basic", "x-tollgate": own })
    }
}

fn users(node: &Node, reader: &mut Reader<'_>) -> (Option<Text>, Vec<(Text, Text)>) {
    let (mut file, mut users) = (None, Vec::new());
    for Entry { key, value } in reader.entries(node, "`users`").unwrap_or_default() {
        if &*key.text == "file" {
            file = reader.text(value, "`file`");
            continue;
        }
        // Nothing behind the colon may be half a document: it must not become a user without a password.
        if matches!(value.value, Value::Scalar(_)) && value.is_null() {
            let hint = "write `${file:path}`, or what `htpasswd -nB NAME` prints behind the name";
            reader.faults.error_hint(key.place, format!("user `{}` has no password", key.text), hint);
            continue;
        }
        users.extend(reader.secret(value, &format!("user `{}`", key.text)).map(|hash| (key.clone(), hash)));
    }
    (file, users)
}
