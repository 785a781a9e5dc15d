//! The tool manifest: which tools a model may call, with what, and what each of them may do.

use super::contract;
use super::error::{Result, SetError, ToolsProblem};
use super::template::RenderError;
use crate::config::parse_yaml;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Largest tool manifest, bytes.
pub(crate) const MANIFEST_BYTES_MAX: u64 = 1024 * 1024;
/// Most tools in a manifest: the largest number an OpenAI request may carry.
const TOOLS_MAX: usize = 128;
/// Longest name of a tool, characters; the OpenAI API's bound.
const TOOL_NAME_MAX: usize = 64;

/// `tools/tools.yaml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// The tools. Without any the manifest says nothing about a client's.
    pub(crate) tools: Vec<Tool>,
    /// Whether they are sent to the model, or calls are only checked against them.
    #[serde(default = "yes")]
    pub(crate) send: bool,
    /// What becomes of a client's tool that is not among them.
    #[serde(default)]
    pub(crate) client_tools: ClientTools,
}

fn yes() -> bool {
    true
}

impl Default for Manifest {
    fn default() -> Self {
        Manifest { tools: Vec::new(), send: true, client_tools: ClientTools::Refuse }
    }
}

/// What becomes of a client's tool that is not in the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ClientTools {
    /// The request is refused: the manifest is the boundary of what the model may do.
    #[default]
    Refuse,
    /// It is passed on as it is, and calls are not checked against the manifest.
    Pass,
}

/// One tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tool {
    /// Its name in tool calls: 1 to 64 of `A-Za-z0-9_-`.
    pub(crate) name: String,
    /// What it does, for the model.
    #[serde(default)]
    pub(crate) description: String,
    /// JSON Schema of its arguments; left out for a tool without.
    #[serde(default)]
    pub(crate) parameters: Option<Value>,
    /// What it may do. There is no default: leaving it out must not grant anything.
    pub(crate) permission: Permission,
    /// Whether the model must keep to the schema exactly; sent on as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) strict: Option<bool>,
    /// Whether it is switched off first when the service is degraded.
    #[serde(default)]
    pub(crate) expensive: bool,
}

/// What a tool may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Permission {
    /// It only looks.
    Read,
    /// It changes data.
    Write,
    /// It changes who may do what.
    Admin,
}

impl Manifest {
    /// Reads a manifest; `file` names it in errors.
    ///
    /// # Errors
    /// Not strict YAML, or a tool whose name or schema is not valid.
    pub(crate) fn parse(bytes: &[u8], file: &Path) -> Result<Manifest> {
        let shown = file.display();
        let text =
            std::str::from_utf8(bytes).map_err(|_| SetError::NotUtf8 { file: file.to_owned() })?;
        let manifest: Manifest = parse_yaml(text, file)?;
        if manifest.tools.len() > TOOLS_MAX {
            let problem = ToolsProblem::TooMany { count: manifest.tools.len(), max: TOOLS_MAX };
            return Err(SetError::Tools { place: shown.to_string(), problem });
        }
        let mut names = BTreeSet::new();
        for (index, tool) in manifest.tools.iter().enumerate() {
            let place = format!("{shown}: tools[{index}]");
            tool.check(&place)?;
            if !names.insert(tool.name.as_str()) {
                let problem = ToolsProblem::TwiceNamed { name: tool.name.clone() };
                return Err(SetError::Tools { place, problem });
            }
        }
        Ok(manifest)
    }

    /// The tools that are switched off first.
    pub(crate) fn expensive(&self) -> BTreeSet<String> {
        let expensive = self.tools.iter().filter(|tool| tool.expensive);
        expensive.map(|tool| tool.name.clone()).collect()
    }

    /// The schema of each tool's arguments, compiled, by the tool's name.
    ///
    /// # Errors
    /// A schema that is not valid.
    pub(crate) fn arguments(&self) -> Result<BTreeMap<String, jsonschema::Validator>> {
        let compile = |tool: &Tool| {
            let schema = tool.parameters.as_ref()?;
            let place = format!("tool `{}`: parameters", tool.name);
            let compiled = contract::compile(&place, schema);
            Some(compiled.map(|validator| (tool.name.clone(), validator)))
        };
        self.tools.iter().filter_map(compile).collect()
    }

    /// Whether a client may bring its own tools.
    pub(crate) fn passes_client_tools(&self) -> bool {
        self.client_tools == ClientTools::Pass
    }

    /// The names calls are checked against; `None` when no tool is named and none is checked.
    pub(crate) fn allowed(&self) -> Option<BTreeSet<String>> {
        let names: BTreeSet<String> = self.tools.iter().map(|tool| tool.name.clone()).collect();
        (!names.is_empty()).then_some(names)
    }
}

impl Tool {
    /// The tool as the model gets it; the schema is the manifest's, member by member.
    fn function(&self) -> Value {
        let mut function = Map::new();
        function.insert("name".to_owned(), self.name.as_str().into());
        if !self.description.is_empty() {
            function.insert("description".to_owned(), self.description.as_str().into());
        }
        // Some servers refuse a function without parameters.
        let none = || json!({"type": "object", "properties": {}});
        function.insert("parameters".to_owned(), self.parameters.clone().unwrap_or_else(none));
        if let Some(strict) = self.strict {
            function.insert("strict".to_owned(), strict.into());
        }
        Value::Object(function)
    }

    fn check(&self, place: &str) -> Result<()> {
        let good = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if !(1..=TOOL_NAME_MAX).contains(&self.name.len()) || !self.name.bytes().all(good) {
            let given: String = self.name.chars().take(TOOL_NAME_MAX).collect();
            let (place, name) = (place.to_owned(), given.escape_debug().to_string());
            let problem = ToolsProblem::BadName { name, max: TOOL_NAME_MAX };
            return Err(SetError::Tools { place, problem });
        }
        if let Some(schema) = &self.parameters {
            let place = format!("{place} (`{}`): parameters", self.name);
            if !schema.is_object() {
                return Err(SetError::Tools { place, problem: ToolsProblem::NoSchema });
            }
            contract::compile(&place, schema)?;
        }
        Ok(())
    }
}

/// The tools of a set as they are put into requests.
#[derive(Debug, Clone)]
pub(crate) struct SentTools {
    /// By name, in the manifest's order: the `function` object that the model gets.
    functions: Vec<(String, Value)>,
    client_tools: ClientTools,
}

impl SentTools {
    /// The tools of a manifest.
    pub(crate) fn new(manifest: &Manifest) -> SentTools {
        let functions = manifest.tools.iter().map(|tool| (tool.name.clone(), tool.function()));
        SentTools { functions: functions.collect(), client_tools: manifest.client_tools }
    }

    /// Puts the tools into a request.
    ///
    /// A request without tools gets all of the manifest's. A request with tools chooses among them:
    /// each of its tools that the manifest has is sent as the manifest says, and an empty list is
    /// no tools at all. Both forms are understood, `tools` and the older `functions`.
    ///
    /// # Errors
    /// A tool that the manifest does not have, where those are refused; a list that is not one.
    pub(crate) fn put_into(&self, body: &mut Map<String, Value>) -> Result<(), RenderError> {
        let mut chosen = false;
        for form in ["tools", "functions"] {
            match body.get_mut(form) {
                None | Some(Value::Null) => {}
                Some(Value::Array(given)) => {
                    chosen = true;
                    for item in given.iter_mut() {
                        self.replace(form, item)?;
                    }
                    // Providers refuse an empty list.
                    if given.is_empty() {
                        body.shift_remove(form);
                    }
                }
                Some(_) => return Err(RenderError(format!("`{form}` must be a list"))),
            }
        }
        if !chosen {
            let all = self.functions.iter().map(|(_, function)| in_form("tools", function));
            body.insert("tools".to_owned(), all.collect());
        }
        Ok(())
    }

    fn replace(&self, form: &str, item: &mut Value) -> Result<(), RenderError> {
        let function = if form == "tools" { item.get("function") } else { Some(&*item) };
        let name = function.and_then(|function| function.get("name")).and_then(Value::as_str);
        let ours = name.and_then(|name| self.functions.iter().find(|(ours, _)| ours == name));
        match (ours, self.client_tools) {
            (Some((_, function)), _) => *item = in_form(form, function),
            (None, ClientTools::Pass) => {}
            (None, ClientTools::Refuse) => {
                // A tool that is no function goes by its type.
                let name = name.or(item.get("type").and_then(Value::as_str)).unwrap_or_default();
                let name: String = name.chars().take(TOOL_NAME_MAX).collect();
                let known: Vec<String> =
                    self.functions.iter().map(|(name, _)| format!("`{name}`")).collect();
                return Err(RenderError(format!(
                    "`{form}`: the tool `{}` is not one of this service's: {}",
                    name.escape_debug(),
                    known.join(", ")
                )));
            }
        }
        Ok(())
    }
}

/// A function in one of the two forms of a request.
fn in_form(form: &str, function: &Value) -> Value {
    match form {
        "tools" => json!({"type": "function", "function": function}),
        _ => function.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Manifest> {
        Manifest::parse(text.as_bytes(), Path::new("tools/tools.yaml"))
    }

    fn refuse(text: &str, message: &str) {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(message), "{text:?}: {error}");
    }

    #[test]
    fn a_manifest_names_the_allowed_tools() {
        let manifest = parse(
            "tools:\n  - name: lookup_order\n    description: 查询订单\n    permission: read\n    \
             parameters: {type: object, properties: {id: {type: string}}}\n  - name: refund\n    \
             permission: write\n    expensive: true\n",
        )
        .unwrap();
        assert_eq!(manifest.tools[1].permission, Permission::Write);
        assert_eq!(manifest.expensive().into_iter().collect::<Vec<_>>(), ["refund"]);
        let names: Vec<String> = manifest.allowed().unwrap().into_iter().collect();
        assert_eq!(names, ["lookup_order", "refund"]);
        assert_eq!(parse("tools: []").unwrap().allowed(), None);
    }

    #[test]
    fn a_bad_manifest_names_the_place() {
        refuse("tools:\n  - {name: 'a b', permission: read}", "tools[0]: the name `a b`");
        refuse("tools:\n  - {name: 查询, permission: read}", "tools[0]: the name");
        refuse("tools:\n  - {name: '', permission: read}", "tools[0]: the name ``");
        refuse(
            "tools:\n  - {name: a, permission: read}\n  - {name: a, permission: write}",
            "tools[1]: the name `a` is used twice",
        );
        refuse("tools:\n  - {name: a}", "permission");
        refuse("tools:\n  - {name: a, permission: root}", "root");
        refuse("tools:\n  - {name: a, permission: read, cost: 1}", "cost");
        refuse("tools:\n  - {name: a, permission: read, parameters: 3}", "an object");
        refuse(
            "tools:\n  - {name: a, permission: read, parameters: {type: objekt}}",
            "tools[0] (`a`): parameters",
        );
    }

    fn sent(manifest: &str, body: Value) -> Result<Value, String> {
        let mut body = body.as_object().unwrap().clone();
        let tools = SentTools::new(&parse(manifest).unwrap());
        tools.put_into(&mut body).map_err(|error| error.to_string())?;
        Ok(Value::Object(body))
    }

    const TWO: &str = "tools:\n  - {name: lookup, permission: read, description: 查询, strict: true, \
        parameters: {type: object, required: [id], properties: {id: {type: string}}, \
        additionalProperties: false}}\n  - {name: refund, permission: write}\n";

    #[test]
    fn a_request_without_tools_gets_the_manifest_s() {
        let body = sent(TWO, json!({"messages": []})).unwrap();
        let lookup = json!({"type": "function", "function": {
            "name": "lookup", "description": "查询",
            "parameters": {"type": "object", "required": ["id"],
                "properties": {"id": {"type": "string"}}, "additionalProperties": false},
            "strict": true,
        }});
        assert_eq!(body["tools"][0], lookup);
        assert_eq!(body["tools"][0].to_string(), lookup.to_string());
        assert_eq!(body["tools"][1]["function"]["name"], "refund");
        assert_eq!(body["tools"][1]["function"]["parameters"]["type"], "object");
    }

    #[test]
    fn a_client_chooses_among_the_tools_in_either_form() {
        let fake =
            json!({"name": "refund", "description": "mine", "parameters": {"type": "array"}});
        let ours = sent(TWO, json!({})).unwrap()["tools"][1].clone();
        let body = json!({"tools": [{"type": "function", "function": fake}]});
        assert_eq!(sent(TWO, body).unwrap()["tools"], json!([ours]));
        let body = sent(TWO, json!({"functions": [fake]})).unwrap();
        assert_eq!(body, json!({"functions": [ours["function"]]}));
        assert_eq!(sent(TWO, json!({"tools": []})).unwrap(), json!({}));
    }

    #[test]
    fn a_tool_that_is_not_the_service_s_is_refused_or_passed() {
        let other = json!({"type": "function", "function": {"name": "转账", "strict": true}});
        let error = sent(TWO, json!({"tools": [other]})).unwrap_err();
        assert!(error.contains("`转账`") && error.contains("`lookup`, `refund`"), "{error}");
        let error = sent(TWO, json!({"tools": [{"type": "web_search"}]})).unwrap_err();
        assert!(error.contains("`web_search`"), "{error}");
        assert!(sent(TWO, json!({"functions": [{"name": "x"}]})).is_err());
        assert!(sent(TWO, json!({"tools": "all"})).unwrap_err().contains("must be a list"));
        let passing = format!("client_tools: pass\n{TWO}");
        let body = json!({"tools": [other, {"type": "web_search"}]});
        assert_eq!(sent(&passing, body.clone()).unwrap(), body);
    }
}
