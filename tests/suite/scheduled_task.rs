//! The task definition that ships for Windows' Task Scheduler, against the schema that Microsoft
//! publishes: <https://learn.microsoft.com/windows/win32/taskschd/task-scheduler-schema> (the XSD of
//! version 1.3, read in November 2026).
//!
//! What an element may hold, and where the schema is a sequence and not `xs:all`, in what order,
//! stands in `SCHEMA`; what a text may be, in `TEXTS` and `FORMS`. Only what the definition uses is listed: an
//! element that is not there fails the test. Whether a real Task Scheduler takes it can't be shown
//! here. Beyond the schema, the definition promises what the README says: every six hours, whether
//! somebody is logged on or not, never two at once, ten minutes at most, the program's own exit code.

#[cfg(unix)]
use crate::recipes::recipe;
use std::collections::HashMap;
use std::fs;
#[cfg(unix)]
use std::path::Path;

const DEFINITION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/dist/docusign-refresh-task.xml");
const NAMESPACE: &str = "http://schemas.microsoft.com/windows/2004/02/mit/task";

/// Whether the children of an element stand in the order of the schema.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    Sequence,
    All,
}

/// Element, order, children.
const SCHEMA: [(&str, Order, &[&str]); 10] = [
    // taskType
    ("Task", Order::All, &["RegistrationInfo", "Triggers", "Settings", "Data", "Principals", "Actions"]),
    // registrationInfoType
    (
        "RegistrationInfo",
        Order::All,
        &["URI", "SecurityDescriptor", "Source", "Date", "Author", "Version", "Description", "Documentation"],
    ),
    // triggersType: a choice, of which the definition uses one
    ("Triggers", Order::Sequence, &["TimeTrigger"]),
    // triggerBaseType, a sequence, extended by timeTriggerType
    (
        "TimeTrigger",
        Order::Sequence,
        &["Enabled", "StartBoundary", "EndBoundary", "Repetition", "ExecutionTimeLimit", "RandomDelay"],
    ),
    // repetitionType
    ("Repetition", Order::All, &["Interval", "Duration", "StopAtDurationEnd"]),
    // settingsType, as far as it is used
    (
        "Settings",
        Order::All,
        &[
            "MultipleInstancesPolicy",
            "DisallowStartIfOnBatteries",
            "StopIfGoingOnBatteries",
            "StartWhenAvailable",
            "ExecutionTimeLimit",
        ],
    ),
    // principalsType
    ("Principals", Order::Sequence, &["Principal"]),
    // principalType
    ("Principal", Order::All, &["UserId", "LogonType", "GroupId", "DisplayName", "RunLevel"]),
    // actionsType: a choice, of which the definition uses one
    ("Actions", Order::Sequence, &["Exec"]),
    // execType
    ("Exec", Order::All, &["Command", "Arguments", "WorkingDirectory"]),
];

/// The simple types of the elements that hold one of a few texts.
const TEXTS: [(&str, &[&str]); 7] = [
    ("Enabled", &["true", "false"]),
    ("DisallowStartIfOnBatteries", &["true", "false"]),
    ("StopIfGoingOnBatteries", &["true", "false"]),
    ("StartWhenAvailable", &["true", "false"]),
    ("MultipleInstancesPolicy", &["Parallel", "Queue", "IgnoreNew", "StopExisting"]),
    ("LogonType", &["S4U", "Password", "InteractiveToken", "InteractiveTokenOrPassword"]),
    ("RunLevel", &["LeastPrivilege", "HighestAvailable"]),
];

type Form = fn(&str) -> bool;

/// And of those that hold a time.
const FORMS: [(&str, Form); 4] = [
    ("StartBoundary", is_local_time),
    ("Interval", is_duration),
    ("ExecutionTimeLimit", is_duration),
    ("RandomDelay", is_duration),
];

/// xs:dateTime as Task Scheduler takes it, in local time: `2026-01-01T00:00:00`. Leap days are left out.
fn is_local_time(text: &str) -> bool {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    if shape != "0000-00-00T00:00:00" {
        return false;
    }
    let number = |at: usize| text[at..at + 2].parse().unwrap_or(u32::MAX);
    let (month, day) = (number(5), number(8));
    let days = match month {
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    (1..=12).contains(&month) && (1..=days).contains(&day) && number(11) < 24 && number(14) < 60 && number(17) < 60
}

/// xs:duration in whole numbers, `PnYnMnDTnHnMnS`: at least one part, and one after a T.
fn is_duration(text: &str) -> bool {
    let Some(parts) = text.strip_prefix('P') else { return false };
    match parts.split_once('T') {
        Some((date, time)) => (date.is_empty() || are_parts(date, "YMD")) && are_parts(time, "HMS"),
        None => are_parts(parts, "YMD"),
    }
}

/// At least one number, each with its unit after it, in the order of the units.
fn are_parts(text: &str, units: &str) -> bool {
    let mut units = units.chars();
    let mut parts = text.split_inclusive(|c: char| !c.is_ascii_digit());
    let is_part = |part: &str| {
        let unit = part.chars().next_back();
        part.len() > 1 && units.any(|next| Some(next) == unit)
    };
    !text.is_empty() && parts.all(is_part)
}

/// An element, with its path from the root.
struct Element {
    path: String,
    attributes: String,
    children: Vec<String>,
    text: String,
}

impl Element {
    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

/// Every element in the order of its end. The definition has no comments, sections or entities
/// beyond `&gt;`, and nothing but one root.
fn parse(xml: &str) -> Vec<Element> {
    let mut rest = xml.strip_prefix("<?xml version=\"1.0\"?>\n").expect("it begins as XML, in no encoding but ASCII");
    let (mut open, mut closed): (Vec<Element>, Vec<Element>) = Default::default();
    while let Some((text, after)) = rest.split_once('<') {
        match open.last_mut() {
            Some(element) => element.text += text.trim(),
            None => assert_eq!(text.trim(), "", "text outside of the root"),
        }
        let (tag, after) = after.split_once('>').expect("a tag ends");
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            let element = open.pop().expect("an end has a beginning");
            assert_eq!(element.name(), name);
            closed.push(element);
            continue;
        }
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        let above = open.last_mut().map_or(String::new(), |parent| {
            parent.children.push(name.to_owned());
            format!("{}/", parent.path)
        });
        open.push(Element {
            path: above + name,
            attributes: attributes.to_owned(),
            children: Vec::new(),
            text: String::new(),
        });
    }
    assert_eq!((rest.trim(), open.len()), ("", 0), "everything is closed");
    closed
}

fn definition() -> Vec<Element> {
    let xml = fs::read_to_string(DEFINITION).expect("read the task definition");
    assert!(xml.is_ascii(), "schtasks guesses the encoding of a file that is not ASCII");
    parse(&xml)
}

fn text<'e>(elements: &'e [Element], path: &str) -> &'e str {
    let element = elements.iter().find(|element| element.path == path);
    element.unwrap_or_else(|| panic!("no {path}")).text.as_str()
}

/// What Task Scheduler starts.
#[cfg(unix)]
pub struct Action {
    pub command: String,
    pub arguments: String,
    pub directory: String,
}

#[cfg(unix)]
pub fn action() -> Action {
    let elements = definition();
    let text = |name| text(&elements, &format!("Task/Actions/Exec/{name}")).replace("&gt;", ">");
    Action { command: text("Command"), arguments: text("Arguments"), directory: text("WorkingDirectory") }
}

#[test]
fn it_is_valid_by_the_published_schema() {
    let elements = definition();
    for element in &elements {
        let Some((_, order, allowed)) = SCHEMA.iter().find(|(name, ..)| *name == element.name()) else {
            assert!(element.children.is_empty(), "{} is a text", element.path);
            continue;
        };
        let place = |child: &String| {
            let place = allowed.iter().position(|allowed| allowed == child);
            place.unwrap_or_else(|| panic!("{}: no {child} may stand here", element.path))
        };
        let places: Vec<usize> = element.children.iter().map(place).collect();
        let sorted = |places: &[usize]| places.is_sorted();
        assert!(*order == Order::All || sorted(&places), "{}: not in the order of the schema", element.path);
        let mut unique = places.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), places.len(), "{}: a child stands there twice", element.path);
    }
    for element in elements.iter().filter(|element| element.children.is_empty()) {
        assert!(!element.text.is_empty(), "{} is empty", element.path);
        if let Some((_, values)) = TEXTS.iter().find(|(name, _)| *name == element.name()) {
            assert!(values.contains(&element.text.as_str()), "{}: {}", element.path, element.text);
        }
        if let Some((_, is_right)) = FORMS.iter().find(|(name, _)| *name == element.name()) {
            assert!(is_right(&element.text), "{}: {}", element.path, element.text);
        }
        // pathType
        if ["Command", "WorkingDirectory"].contains(&element.name()) {
            assert!(element.text.len() <= 260, "{}", element.path);
        }
    }
    text(&elements, "Task/Triggers/TimeTrigger/StartBoundary"); // a TimeTrigger must have it
    let root = elements.last().expect("there is a root");
    assert_eq!(
        (root.path.as_str(), root.attributes.as_str()),
        ("Task", format!("version=\"1.3\" xmlns=\"{NAMESPACE}\"").as_str())
    );
    assert!(root.children.contains(&"Actions".to_owned()), "the schema wants actions");
    let attributes: HashMap<&str, &str> =
        elements.iter().map(|element| (element.path.as_str(), element.attributes.as_str())).collect();
    assert_eq!(attributes["Task/Principals/Principal"], "id=\"Account\"");
    assert_eq!(attributes["Task/Actions"], "Context=\"Account\"", "the actions name the principal");
}

#[test]
fn what_is_no_time_is_seen() {
    for text in ["PT10M", "PT1H30M", "P2DT5S", "P1M4DT2H5M", "P1Y"] {
        assert!(is_duration(text), "{text}");
    }
    for text in ["", "P", "PT", "P1DT", "10M", "PT10", "PTM", "P10H", "PT5M1H", "PT1M1M", "PT-5M", "pt5m", "PT10M "] {
        assert!(!is_duration(text), "{text}");
    }
    assert!(is_local_time("2026-12-31T23:59:59"));
    for text in
        ["2026-01-01", "2026-01-01 00:00:00", "2026-13-01T00:00:00", "2026-02-30T00:00:00", "2026-01-01T24:00:00"]
    {
        assert!(!is_local_time(text), "{text}");
    }
}

#[test]
fn it_does_what_the_readme_says() {
    let elements = definition();
    let text = |path: &str| text(&elements, path);
    assert_eq!(text("Task/Triggers/TimeTrigger/Repetition/Interval"), "PT6H");
    assert_eq!(text("Task/Settings/ExecutionTimeLimit"), "PT10M");
    assert_eq!(text("Task/Settings/MultipleInstancesPolicy"), "IgnoreNew");
    assert_eq!(text("Task/Settings/StartWhenAvailable"), "true");
    assert_eq!(text("Task/Principals/Principal/LogonType"), "S4U", "whether logged on or not, no password stored");
    let arguments = text("Task/Actions/Exec/Arguments");
    assert!(arguments.starts_with("/d /c \"\"") && arguments.ends_with("2&gt;&gt; refresh.log\""), "{arguments}");
    assert!(!arguments.contains('&') || arguments.matches('&').count() == 2, "cmd would begin a second command");
}

/// The commands of the recipe make what the definition then finds: its directory, files and account,
/// under the names that it uses, closed before there is anything in them.
#[cfg(unix)]
#[test]
fn the_commands_of_the_recipe_prepare_it() {
    let recipe = recipe("windows-task.ps1");
    let commands: Vec<&str> = recipe.lines().filter(|line| !line.starts_with('#')).collect();
    let line = |beginning: &str| {
        let mut found = commands.iter().enumerate().filter(|(_, line)| line.starts_with(beginning));
        let (at, line) = found.next().unwrap_or_else(|| panic!("no line begins with {beginning}"));
        assert!(found.next().is_none(), "two lines begin with {beginning}");
        (at, *line)
    };
    let elements = definition();
    let account = text(&elements, "Task/Principals/Principal/UserId");
    let Action { arguments, directory, .. } = action();

    // The files stand in the arguments by the names that they have in the directory.
    let mut words = arguments.split_whitespace().skip_while(|word| *word != "--client-secret-file").skip(1);
    let (secret, tokens) = (words.next().expect("the secret's file"), words.next().expect("the token file"));
    assert_eq!(words.next(), Some("2>>"), "{arguments}");
    let (secret, tokens) = (format!(r"{directory}\{secret}"), format!(r"{directory}\{tokens}"));

    let system_and_administrators = "'*S-1-5-18:(OI)(CI)F' '*S-1-5-32-544:(OI)(CI)F'";
    let closing =
        format!("icacls {directory} /inheritance:r /grant:r '{account}:(OI)(CI)M' {system_and_administrators}");
    let closing_secret = format!("icacls {secret} /inheritance:r /grant:r '{account}:R' '*S-1-5-32-544:F'");
    let order = [
        line(&format!("mkdir {directory}")).0,
        line(&closing).0,
        line(&format!("New-Item -ItemType File {secret}, {tokens}")).0,
        line(&closing_secret).0,
        line(&format!("notepad {secret} ")).0,
        line(&format!("notepad {tokens} ")).0,
        line("notepad docusign-refresh-task.xml ").0,
        line("schtasks /Create ").0,
        line("schtasks /Run ").0,
        line("schtasks /Query ").0,
    ];
    assert!(order.is_sorted(), "{commands:#?}");
    assert_eq!(order.len(), commands.len(), "{commands:#?}");
    let file = Path::new(DEFINITION).file_name().expect("a name").to_string_lossy();
    assert_eq!(line("schtasks /Create ").1, format!("schtasks /Create /TN docusign-refresh /XML {file}"));
    for verb in ["/Run", "/Query"] {
        assert!(line(&format!("schtasks {verb} ")).1.contains(" /TN docusign-refresh"), "{commands:#?}");
    }
}
