//! Parameter mappings of an integration, compiled; what is wrong with them, at its place (MP-01 to MP-05, IN-10, IN-16).

use policy::transform::constant::MockRequest;
use policy::transform::parameters::{
    MappingFault, MappingProblem, RequestMapping, ResponseMapping, ResponseRules, ResponseSpec, RuleFault, RuleProblem,
};
use policy::transform::template::TemplateNames;
use policy::transform::variable::Variable;
use router::Kind;

use crate::compile::needs;
use crate::compile::uri::UriWrong as Wrong;
use crate::definition::{Integration, IntegrationResponse, IntegrationType, Passthrough, Word};
use crate::snapshot::{ResponseShape, SelectedMock};

/// Target and expression.
type Pairs = [(Word, Word)];

/// What the backend is told besides what the client sent; `None`: nothing.
pub fn request(kind: Kind, spec: &Integration, names: TemplateNames<'_>) -> Result<Option<RequestMapping>, Vec<Wrong>> {
    if spec.request_parameters.is_empty() {
        return Ok(None);
    }
    let compiled = RequestMapping::compile(kind, &texts(&spec.request_parameters), names);
    let wrongs = |faults: Vec<MappingFault>| {
        faults.iter().map(|fault| mapping(kind, &spec.request_parameters, fault, (names, false))).collect()
    };
    compiled.map(Some).map_err(wrongs)
}

/// The variables of the URI that the mapping fills, whether it can be used or not.
pub fn path_names(spec: &Integration) -> Vec<Box<str>> {
    let filled = spec.request_parameters.iter();
    filled.filter_map(|(target, _)| target.strip_prefix("integration.request.path.").map(Box::from)).collect()
}

/// What becomes of the backend's answer.
pub fn response(kind: Kind, spec: &Integration, names: TemplateNames<'_>) -> Result<ResponseShape, Vec<Wrong>> {
    let is_native = needs::is_native(*spec.place);
    match (kind, spec.kind) {
        (Kind::Http, _) => by_status(spec, names),
        // Of our own routes alone: API Gateway does not map what a proxy integration answers.
        (_, IntegrationType::HttpProxy) => match spec.responses.first().filter(|_| is_native) {
            Some(all) => Ok(ResponseShape::Mapped(Box::new([(None, answer(kind, &all.parameters, names)?)]))),
            None => Ok(ResponseShape::AsIs),
        },
        _ if is_native && spec.responses.is_empty() => Ok(ResponseShape::AsIs),
        _ => rules(kind, spec, names).map(ResponseShape::Selected),
    }
}

/// A mock of API Gateway's kind.
pub fn mock(kind: Kind, spec: &Integration, names: TemplateNames<'_>) -> Result<SelectedMock, Vec<Wrong>> {
    let refuses_others = match spec.passthrough {
        None | Some(Passthrough::WhenNoMatch) => false,
        Some(Passthrough::WhenNoTemplates) => !spec.request_templates.is_empty(),
        Some(Passthrough::Never) => true,
    };
    let request = MockRequest::compile(&texts(&spec.request_templates), refuses_others);
    let answers = rules(kind, spec, names);
    match (request, answers) {
        (Ok(request), Ok(answers)) => Ok(SelectedMock { request, answers }),
        (Ok(_), Err(wrongs)) => Err(wrongs),
        (Err(program), answers) => {
            let mut wrongs = answers.err().unwrap_or_default();
            wrongs.push(template(&spec.request_templates[program].1));
            Err(wrongs)
        }
    }
}

/// MP-04. All faults are found.
fn by_status(spec: &Integration, names: TemplateNames<'_>) -> Result<ResponseShape, Vec<Wrong>> {
    if spec.response_parameters.is_empty() {
        return Ok(ResponseShape::AsIs);
    }
    let mut wrongs = Vec::new();
    let mut mapped = Vec::with_capacity(spec.response_parameters.len());
    for (written, parameters) in &spec.response_parameters {
        let status = written.parse::<u16>().ok().filter(|status| (200..600).contains(status));
        if status.is_none() {
            let hint = "write a status of the backend's answer, from 200 to 599".to_owned();
            wrongs.push(Wrong { place: written.place(), what: format!("`{written}` is not a status"), hint });
        }
        match answer(Kind::Http, parameters, names) {
            Ok(mapping) => mapped.push((status, mapping)),
            Err(found) => wrongs.extend(found),
        }
    }
    if wrongs.is_empty() { Ok(ResponseShape::Mapped(mapped.into())) } else { Err(wrongs) }
}

fn answer(kind: Kind, parameters: &Pairs, names: TemplateNames<'_>) -> Result<ResponseMapping, Vec<Wrong>> {
    ResponseMapping::compile(kind, &texts(parameters), names)
        .map_err(|faults| faults.iter().map(|fault| mapping(kind, parameters, fault, (names, true))).collect())
}

/// IN-16. An integration without any answer is AWS's to refuse on each request; here it is told once.
fn rules(kind: Kind, spec: &Integration, names: TemplateNames<'_>) -> Result<ResponseRules, Vec<Wrong>> {
    if spec.responses.is_empty() {
        let what = "its integration has no responses, so no answer fits (IN-16)".to_owned();
        let hint = "add `responses` to x-amazon-apigateway-integration, with at least `default`".to_owned();
        return Err(vec![Wrong { place: *spec.place, what, hint }]);
    }
    let parts: Vec<_> =
        spec.responses.iter().map(|response| (texts(&response.parameters), texts(&response.templates))).collect();
    let specs: Vec<ResponseSpec<'_>> = spec
        .responses
        .iter()
        .zip(&parts)
        .map(|(response, (parameters, templates))| ResponseSpec {
            pattern: &response.pattern,
            status: &response.status,
            parameters,
            templates,
        })
        .collect();
    let wrongs =
        |faults: Vec<RuleFault>| faults.iter().map(|fault| rule(kind, &spec.responses, fault, names)).collect();
    ResponseRules::compile(kind, &specs, names).map_err(wrongs)
}

fn texts(pairs: &Pairs) -> Vec<(&str, &str)> {
    pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

fn mapping(kind: Kind, pairs: &Pairs, fault: &MappingFault, (names, in_answer): (TemplateNames<'_>, bool)) -> Wrong {
    let (target, expression) = &pairs[fault.entry];
    let word = if fault.in_target { target } else { expression };
    let hint = match fault.what {
        MappingProblem::NoSuchPathVariable if names.path_variables.is_empty() => "it has none".to_owned(),
        MappingProblem::NoSuchPathVariable => format!("it has {}", names.path_variables.join(", ")),
        MappingProblem::UnknownContext => {
            let known: Vec<&str> = Variable::NAMES.iter().map(|(name, _)| *name).collect();
            format!("those with a value in this version are {}", known.join(", "))
        }
        what => what.hint(kind, in_answer).to_owned(),
    };
    Wrong { place: word.0.place_at(fault.offset), what: format!("`{word}`: {}", fault.what.message()), hint }
}

fn rule(kind: Kind, responses: &[IntegrationResponse], fault: &RuleFault, names: TemplateNames<'_>) -> Wrong {
    let response = &responses[fault.rule];
    let (word, hint) = match &fault.what {
        RuleProblem::Mapping(found) => return mapping(kind, &response.parameters, found, (names, true)),
        RuleProblem::Template(place) => return template(&response.templates[*place].1),
        RuleProblem::Pattern => {
            (&response.pattern, "write a regular expression such as 5\\d{2}, without look-around and back references")
        }
        RuleProblem::Status => (&response.status, "write a number such as 200"),
        RuleProblem::TooMany => (&response.pattern, "one for each status is enough"),
    };
    Wrong { place: word.place(), what: format!("`{word}`: {}", fault.what.message()), hint: hint.to_owned() }
}

fn template(text: &Word) -> Wrong {
    let what = RuleProblem::Template(0).message().to_owned();
    Wrong {
        place: text.place(),
        what,
        hint: "the method is kept; it will be served by a version that has this".to_owned(),
    }
}
