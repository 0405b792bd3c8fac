//! What CloudFormation would have filled in: `${AWS::…}` (OA-06), `Ref`, `Fn::Sub` and their kin.

use super::Source;
use crate::definition::Word;
use crate::diagnostic::Place;
use crate::source::node::{Entry, Text};

/// A text with `${AWS::…}` replaced.
pub fn substitute(text: &Text, from: &mut Source<'_>) -> Word {
    let _ = from;
    Word::from(text)
}

/// What a mapping stands for if it is a function call such as `{"Fn::Sub": "…"}` or `{"Ref": "…"}`; `None`: it is none. The parser
/// writes the short forms that way too: `!Sub x` is `{"Fn::Sub": x}`, `!GetAtt a.b` is `{"Fn::GetAtt": a.b}`.
pub fn call(entries: &[Entry], place: Place, from: &mut Source<'_>) -> Option<Word> {
    let (_, _, _) = (entries, place, from);
    None
}
