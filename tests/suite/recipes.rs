//! The recipes of `src/dist/recipes`, run as they are.
//!
//! A recipe's text is used to the letter: put where its first lines say, on a machine of the test's own where it needs
//! one, and run by what would run it (systemd, podman, the schema of Kubernetes, sh, curl). All that
//! is added from outside is where the server is, by variables, and for curl by its own settings.
//! Cron alone is not run: its line is taken apart as crontab(5) says, and its command run as the
//! user it names, with the environment that cron gives.

use crate::canary;
use crate::container::{self, Host, Image, Mount};
use crate::kit::{self, CLIENT_ID, CLIENT_SECRET, TOKEN_FILE, Workspace, rotation, serve};
use crate::machine::{CA_FILE, HOME, Machine, report};
use crate::readme;
use crate::token_server::{Rotation, Script, Step, TokenServer, json_response};
use crate::tools;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::io::BufRead as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const SERVICE: &str = "docusign-refresh.service";
const TIMER: &str = "docusign-refresh.timer";
const STORED: &str = "/var/lib/docusign-refresh/docusign.json";

/// The text of a recipe.
#[track_caller]
pub fn recipe(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/dist/recipes").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The README names each recipe, and no other.
#[test]
fn the_readme_names_every_recipe() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/dist/recipes");
    let entries = fs::read_dir(directory).expect("list the recipes");
    let files: BTreeSet<String> =
        entries.map(|entry| entry.expect("a recipe").file_name().to_string_lossy().into_owned()).collect();
    let listed = readme::section("Recipes").split("\n### ").next().expect("the list of recipes");
    let items = listed.lines().filter_map(|line| line.strip_prefix("- ")?.split_once(':'));
    let named = items.flat_map(|(names, _)| names.split('`').skip(1).step_by(2)).map(str::to_owned);
    // The task is next to the recipes, because a program that packs archives takes it from there.
    assert_eq!(files, named.filter(|name| name != "docusign-refresh-task.xml").collect());
}

fn refusal() -> Step {
    Step::response(json_response("400 Bad Request", r#"{"error":"invalid_grant"}"#))
}

/// Longer than any run waits.
fn put_off() -> Step {
    Step::response("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n")
}

/// A program of another machine can't be installed on this one.
fn is_native() -> bool {
    let is_native = env::var_os("DOCUSIGN_REFRESH_RUNNER").is_none();
    if !is_native {
        tools::say("skipped: not a program of this machine");
    }
    is_native
}

/// A machine on which users and files are as the README says.
fn installed(name: &str, rotation: &Rotation) -> Option<Machine> {
    let machine = Some(name).filter(|_| is_native()).and_then(Machine::new)?;
    machine.give(&format!("{HOME}/{TOKEN_FILE}"), rotation.first_token_file());
    machine.give(&format!("{HOME}/client-secret"), format!("{CLIENT_SECRET}\n"));
    machine.must(&format!("set -e\n{}", recipe("install-files.sh")));
    Some(machine)
}

fn expect_refreshed(machine: &Machine, rotation: &Rotation) {
    assert!(machine.read(STORED).contains(&rotation.live_refresh_token()));
    assert_eq!((rotation.refreshes(), rotation.reuses()), (1, 0));
    let owner = machine.must(&format!("stat --format '%U:%G %a' {STORED}"));
    assert_eq!(owner, "docusign:docusign 640\n");
}

/// The variables that lead to this server instead of Docusign's.
fn variables_to(server: &TokenServer, ca_file: &str) -> [String; 3] {
    [
        format!("DOCUSIGN_TOKEN_ENDPOINT={}", server.endpoint()),
        format!("SSL_CERT_FILE={ca_file}"),
        "DOCUSIGN_ENVIRONMENT=".to_owned(),
    ]
}

#[test]
fn the_cron_line_refreshes_and_is_silent() {
    let rotation = rotation();
    let server = serve(Script::always(rotation.step()));
    let Some(machine) = installed("recipe-cron", &rotation) else { return };
    let mut variables = Vec::new();
    let mut jobs = Vec::new();
    let table = recipe("docusign-refresh.cron");
    for line in table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.split_once('=') {
            Some((name, _)) if name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') => {
                variables.push(line.to_owned());
            }
            _ => jobs.push(line),
        }
    }
    let [job] = jobs.as_slice() else { panic!("one line, one job: {jobs:?}") };
    let mut fields = job.splitn(7, ' ');
    for (what, last) in [("minute", 59), ("hour", 23), ("day", 31), ("month", 12), ("weekday", 7)] {
        let field = fields.next().unwrap_or_default();
        let mut numbers = field.split(['*', '/', ',', '-']).filter(|number| !number.is_empty());
        assert!(numbers.all(|number| number.parse().is_ok_and(|number: u32| number <= last)), "{what}: {field}");
    }
    let (user, command) = (fields.next().expect("the user"), fields.next().expect("the command"));
    assert!(!command.contains('%'), "cron makes a newline of %: {command}");

    variables.extend(variables_to(&server, CA_FILE));
    let output = machine.shell(&format!(
        "exec setpriv --reuid {user} --regid {user} --init-groups env --ignore-environment \
         HOME=/var/lib/docusign-refresh LOGNAME={user} SHELL=/bin/sh PATH=/usr/bin:/bin {} /bin/sh -c '{command}'",
        variables.join(" ")
    ));
    assert!(output.status.success(), "{}", report(&output));
    assert!(output.stdout.is_empty() && output.stderr.is_empty(), "cron would send a mail: {}", report(&output));
    expect_refreshed(&machine, &rotation);
}

/// A machine with the two units.
fn with_units(name: &str, rotation: &Rotation) -> Option<Machine> {
    for program in ["systemd-analyze", "systemctl", "man"] {
        tools::find(program)?;
    }
    let machine = installed(name, rotation)?;
    for unit in [SERVICE, TIMER] {
        machine.give(&format!("/etc/systemd/system/{unit}"), recipe(unit));
    }
    Some(machine)
}

/// Boots the machine with this server in place of Docusign's.
fn boot(machine: &Machine, server: &TokenServer) -> String {
    let variables = variables_to(server, CA_FILE).map(|variable| format!("Environment={variable}\n"));
    let drop_in = format!("[Service]\n{}StandardError=truncate:/srv/stderr\n", variables.concat());
    machine.give(&format!("/etc/systemd/system/{SERVICE}.d/server.conf"), drop_in);
    let shown = machine.boot(&[SERVICE, TIMER], "Id,Result,ExecMainStatus,SubState,NRestarts");
    let stderr = machine.read("/srv/stderr");
    assert_eq!(canary::find(stderr.as_bytes()), None, "{stderr}");
    format!("{shown}\n{stderr}")
}

#[test]
fn systemd_finds_no_fault_in_the_units() {
    let Some(machine) = with_units("recipe-verify", &rotation()) else { return };
    let units = [SERVICE, TIMER].map(|unit| format!("/etc/systemd/system/{unit}")).join(" ");
    let output = machine.shell(&format!("exec systemd-analyze verify {units}"));
    assert!(output.status.success() && output.stderr.is_empty(), "{}", report(&output));
    // Exposure is at most 1.5 of 10.
    machine.must(&format!("exec systemd-analyze security --offline=true --threshold=15 /etc/systemd/system/{SERVICE}"));
}

#[test]
fn systemd_refreshes_as_the_user_with_the_credential() {
    let rotation = rotation();
    let server = serve(Script::always(rotation.step()));
    let Some(machine) = with_units("recipe-systemd", &rotation) else { return };
    let shown = boot(&machine, &server);
    for wanted in ["Result=success", "ExecMainStatus=0", "Id=docusign-refresh.timer", "SubState=waiting"] {
        assert!(shown.contains(wanted), "{wanted}: {shown}");
    }
    expect_refreshed(&machine, &rotation);
}

/// Root stored a new login there, and gave it to the user, but not to the group.
#[test]
fn systemd_s_filter_lets_the_program_tell_of_a_wrong_group() {
    let rotation = rotation();
    let server = serve(Script::always(rotation.step()));
    let Some(machine) = with_units("recipe-group", &rotation) else { return };
    machine.must(&format!("chgrp root {STORED}"));
    let shown = boot(&machine, &server);
    for wanted in ["ExecMainStatus=73", "cannot give the draft the owner and mode of the token file"] {
        assert!(shown.contains(wanted), "{wanted}: {shown}");
    }
    assert_eq!(server.finish().connections, 0);
}

#[test]
fn systemd_tries_again_only_what_another_try_may_cure() {
    let temporary = "TEMPFAIL";
    let service = recipe(SERVICE);
    let setting = service.lines().find_map(|line| line.strip_prefix("RestartPreventExitStatus="));
    let prevented: BTreeSet<&str> = setting.expect("the service has the setting").split(' ').collect();
    let table = readme::table("Exit status");
    let names = table.iter().map(|row| row[2].as_str()).filter(|name| !name.is_empty() && *name != temporary);
    assert_eq!(prevented, names.collect());

    for (step, status, state) in [(refusal(), 77, "failed"), (put_off(), 75, "auto-restart")] {
        let rotation = rotation();
        let server = serve(Script::always(step));
        let Some(machine) = with_units("recipe-restart", &rotation) else { return };
        let shown = boot(&machine, &server);
        for wanted in [format!("ExecMainStatus={status}"), format!("SubState={state}"), "NRestarts=0".to_owned()] {
            assert!(shown.contains(&wanted), "{wanted}: {shown}");
        }
    }
}

#[test]
fn podman_runs_the_image_as_written() {
    if !is_native() || tools::find("podman").is_none() || tools::find("crun").is_none() {
        return;
    }
    let host = Host::new("recipe-podman-image");
    let Some((archive, _)) = container::archive(&host.workspace.directory(), "image.tar") else { return };
    let Some(machine) = Machine::new("recipe-podman") else { return };
    machine.give("/srv/docusign/tokens/docusign.json", host.rotation.first_token_file());
    machine.give("/srv/docusign/tokens/ca.pem", fs::read(host.workspace.ca_file()).expect("read the CA file"));
    machine.give("/srv/docusign/client-secret", CLIENT_SECRET);
    machine.give("/srv/image.tar", fs::read(archive).expect("read the image"));

    // There is no daemon, no cgroup and no network device for a container here.
    let mut variables = host.endpoint();
    variables.insert("SSL_CERT_FILE".to_owned(), "/tokens/ca.pem".to_owned());
    let variables: Vec<String> = variables.iter().map(|(name, value)| format!("\"{name}={value}\"")).collect();
    let engine = format!(
        "[containers]\ncgroups=\"disabled\"\nnetns=\"host\"\nenv=[{}]\n\
         default_ulimits=[\"nofile=1024:1024\",\"nproc=1024:1024\"]\n\
         [engine]\nruntime=\"crun\"\ncgroup_manager=\"cgroupfs\"\nevents_logger=\"none\"\n",
        variables.join(",")
    );
    machine.give("/etc/containers/containers.conf", engine);
    machine.give(
        "/etc/containers/storage.conf",
        "[storage]\ndriver=\"vfs\"\ngraphroot=\"/srv/store\"\nrunroot=\"/run/store\"\n",
    );
    machine.must("chown -R 65532:65532 /srv/docusign && podman load --quiet --input /srv/image.tar");
    let output = machine.shell(&recipe("container.sh"));
    assert!(output.status.success(), "{}", report(&output));
    assert!(machine.read("/srv/docusign/tokens/docusign.json").contains(&host.rotation.live_refresh_token()));
    assert_eq!((host.rotation.refreshes(), host.rotation.reuses()), (1, 0));
}

/// The manifests by their kinds, after the validator found them sound.
fn manifests(workspace: &Workspace) -> Option<BTreeMap<String, Value>> {
    let validator = tools::find("kubernetes-validate")?;
    let file = tools::beside(&workspace.directory(), "cronjob.yaml");
    fs::write(&file, recipe("cronjob.yaml")).expect("write the manifest beside the workspace");
    let output = Command::new(&validator).arg("--strict").arg(&file).output().expect("start the validator");
    assert!(output.status.success(), "{}", report(&output));

    // The validator reads YAML, so the Python that runs it can.
    let program = fs::read(&validator).expect("read the validator");
    let python = program.lines().next().and_then(Result::ok).expect("its first line");
    let python = python.strip_prefix("#!").expect("it names its interpreter").trim();
    let to_json = "import json, sys, yaml; json.dump(list(yaml.safe_load_all(open(sys.argv[1]))), sys.stdout)";
    let output = Command::new(python).args(["-c", to_json]).arg(&file).output().expect("start Python");
    assert!(output.status.success(), "{}", report(&output));
    let manifests: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    let kind = |manifest: &Value| manifest["kind"].as_str().expect("a kind").to_owned();
    Some(manifests.into_iter().map(|manifest| (kind(&manifest), manifest)).collect())
}

#[test]
fn the_cron_job_is_sound_and_fails_at_once_where_no_other_try_helps() {
    let workspace = Workspace::new("recipe-kubernetes");
    let Some(manifests) = manifests(&workspace) else { return };
    let manifest = &manifests["CronJob"];
    assert_eq!(manifest["spec"]["concurrencyPolicy"], "Forbid");
    let job = &manifest["spec"]["jobTemplate"]["spec"];
    assert_eq!(job["template"]["spec"]["restartPolicy"], "Never", "a policy on failures asks for it");
    let rule = &job["podFailurePolicy"]["rules"][0];
    assert_eq!((&rule["action"], &rule["onExitCodes"]["operator"]), (&"FailJob".into(), &"In".into()));
    assert_eq!(rule["onExitCodes"]["containerName"], job["template"]["spec"]["containers"][0]["name"]);
    let codes = rule["onExitCodes"]["values"].as_array().expect("exit codes");
    let codes: BTreeSet<String> = codes.iter().map(Value::to_string).collect();
    let table = readme::table("Exit status");
    let final_codes = table.iter().map(|row| row[0].clone()).filter(|code| code != "0" && code != "75");
    assert_eq!(codes, final_codes.collect());
}

/// The account may do what the program does, to the Secret that it publishes in and the reader mounts.
#[test]
fn the_manifests_of_the_cron_job_fit_together() {
    let workspace = Workspace::new("recipe-manifests");
    let Some(manifests) = manifests(&workspace) else { return };
    let kinds: Vec<&str> = manifests.keys().map(String::as_str).collect();
    assert_eq!(kinds, ["CronJob", "Deployment", "Role", "RoleBinding", "Secret", "ServiceAccount"]);
    let name = |kind: &str| &manifests[kind]["metadata"]["name"];
    assert!(manifests["Secret"].get("data").is_none(), "applied again, it would put this back");

    let job = &manifests["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"];
    assert_eq!(&job["serviceAccountName"], name("ServiceAccount"));
    assert!(job.get("automountServiceAccountToken").is_none());
    let environment = job["containers"][0]["env"].as_array().expect("variables");
    let variable = |wanted: &str| environment.iter().find(|variable| variable["name"] == wanted).map(|it| &it["value"]);
    assert_eq!(variable("DOCUSIGN_PUBLISH_SECRET"), Some(name("Secret")));

    let rules = manifests["Role"]["rules"].as_array().expect("rules");
    let rule = serde_json::json!({"apiGroups": [""], "resources": ["secrets"], "resourceNames": [name("Secret")], "verbs": ["get", "patch"]});
    assert_eq!(rules.as_slice(), [rule]);
    let binding = &manifests["RoleBinding"];
    assert_eq!((&binding["roleRef"]["kind"], &binding["roleRef"]["name"]), (&"Role".into(), name("Role")));
    assert_eq!(&binding["subjects"][0]["name"], name("ServiceAccount"));

    let reader = &manifests["Deployment"]["spec"]["template"]["spec"];
    assert_eq!(&reader["volumes"][0]["secret"]["secretName"], name("Secret"));
    let mount = &reader["containers"][0]["volumeMounts"][0];
    assert_eq!((&mount["readOnly"], mount.get("subPath")), (&true.into(), None));
}

/// With the variables, mounts and user of the manifest, and the root read-only, as it says.
#[test]
fn the_container_of_the_cron_job_refreshes() {
    let host = Host::new("recipe-pod");
    let Some(manifests) = manifests(&host.workspace) else { return };
    let manifest = &manifests["CronJob"];
    let Some(image) = Image::build(&host.workspace.directory()) else { return };
    let pod = &manifest["spec"]["jobTemplate"]["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let user = &pod["securityContext"];
    for name in ["runAsUser", "runAsGroup", "fsGroup"] {
        assert_eq!(user[name], container::USER);
    }
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);

    let mut environment = BTreeMap::new();
    for variable in container["env"].as_array().expect("variables") {
        let part = |name: &str| variable[name].as_str().expect("a string").to_owned();
        environment.insert(part("name"), part("value"));
    }
    environment.extend(host.endpoint());
    // `real_cluster` publishes; here is no cluster.
    environment.remove("DOCUSIGN_PUBLISH_SECRET");
    let (tokens, secret) = (host.workspace.path("tokens"), host.workspace.path("client-secret"));
    let ca_file = host.workspace.ca_file();
    let secret_file = environment["DOCUSIGN_CLIENT_SECRET_FILE"].clone();
    let mut mounts = vec![("/ca.pem", Mount::ReadOnly(&ca_file))];
    for mount in container["volumeMounts"].as_array().expect("mounts") {
        let at = mount["mountPath"].as_str().expect("a path");
        match (mount["name"].as_str(), mount["readOnly"].as_bool()) {
            (Some("tokens"), None) => mounts.push((at, Mount::Writable(&tokens))),
            (Some("client-secret"), Some(true)) => {
                assert_eq!(secret_file, format!("{at}/client-secret"));
                mounts.push((&secret_file, Mount::ReadOnly(&secret)));
            }
            _ => panic!("{mount}"),
        }
    }
    let output = image.run(&environment, &[], &mounts);
    assert!(output.status.success(), "{}", report(&output));
    assert_eq!(canary::find(&output.stderr), None);
    host.expect_refreshed();
}

/// A workspace with the token file, and a directory for `PATH` with the program in it.
fn workspace_of(name: &str, rotation: &Rotation) -> Workspace {
    let mut workspace = Workspace::new(name);
    workspace.give(TOKEN_FILE, rotation.first_token_file());
    let programs = tools::beside(&workspace.directory(), "bin");
    fs::create_dir(&programs).expect("make a directory beside the workspace");
    symlink(kit::binary(), programs.join("docusign-refresh")).expect("link the program");
    workspace
}

/// Runs a recipe as someone who has set up the program would.
fn run_in(workspace: &Workspace, server: &TokenServer, text: &str) -> Output {
    let programs = tools::beside(&workspace.directory(), "bin");
    let output = Command::new("/bin/sh")
        .args(["-c", text])
        .current_dir(workspace.directory())
        .env_clear()
        .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", programs.display()))
        .env("HOME", programs.parent().expect("beside the workspace"))
        .env("DOCUSIGN_TOKEN_ENDPOINT", server.endpoint())
        .env("DOCUSIGN_CLIENT_ID", CLIENT_ID)
        .env("DOCUSIGN_CLIENT_SECRET", CLIENT_SECRET)
        .env("SSL_CERT_FILE", workspace.ca_file())
        .stdin(Stdio::null())
        .output()
        .expect("start the shell");
    assert_eq!(canary::find(&output.stderr), None, "{}", report(&output));
    output
}

#[test]
fn the_deployment_script_does_what_each_exit_code_asks_for() {
    if !is_native() {
        return;
    }
    let unauthorized = Step::response(json_response("401 Unauthorized", r#"{"error":"invalid_client"}"#));
    for (step, code, said) in [
        (None, 0, ""),
        (Some(put_off()), 75, "deploy: Docusign could not be reached"),
        (Some(refusal()), 1, "deploy: someone has to log in"),
        (Some(unauthorized), 1, "deploy: this host or its settings"),
    ] {
        let rotation = rotation();
        let server = serve(Script::always(step.unwrap_or_else(|| rotation.step())));
        let workspace = workspace_of("recipe-deploy", &rotation);
        let output = run_in(&workspace, &server, &recipe("deploy.sh"));
        assert_eq!(output.status.code(), Some(code), "{}", report(&output));
        assert!(String::from_utf8_lossy(&output.stderr).contains(said), "{}", report(&output));
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert_eq!(stdout.starts_with("deploy: the access token has "), code == 0, "{}", report(&output));
        assert!(!stdout.contains(" has 0 "), "{stdout}");
    }
}

/// Exit code 74: when the response comes, a directory stands where the token file was.
#[test]
fn the_deployment_script_tells_of_tokens_that_are_not_in_place() {
    if !is_native() {
        return;
    }
    let rotation = rotation();
    let workspace = workspace_of("recipe-deploy-unsaved", &rotation);
    let tokens = workspace.path(TOKEN_FILE);
    let server = serve(Script::once([rotation.step().on_request(move |_| {
        fs::remove_file(&tokens).expect("remove the token file");
        fs::create_dir(&tokens).expect("make a directory of its name");
    })]));
    let output = run_in(&workspace, &server, &recipe("deploy.sh"));
    assert_eq!(output.status.code(), Some(1), "{}", report(&output));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("docusign.json.new") && stderr.contains("deploy: the new tokens are not in place"),
        "{stderr}"
    );
}

#[test]
fn curl_sends_the_header_that_print_wrote() {
    if !is_native() || tools::find("curl").is_none() {
        return;
    }
    let rotation = rotation();
    let userinfo = Step::responding(|request| {
        assert_eq!((request.method(), request.target()), ("GET", "/oauth/userinfo"));
        json_response("200 OK", r#"{"sub":"someone"}"#)
    });
    let server = serve(Script::once([rotation.step(), userinfo]));
    let workspace = workspace_of("recipe-curl", &rotation);
    // Docusign's name leads to the server, whose certificate is for another.
    let settings = format!("connect-to = \"account-d.docusign.com:443:127.0.0.1:{}\"\ninsecure\n", server.port());
    fs::write(tools::beside(&workspace.directory(), ".curlrc"), settings).expect("write curl's settings");
    let output = run_in(&workspace, &server, &recipe("curl.sh"));
    assert!(output.status.success(), "{}", report(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), r#"{"sub":"someone"}"#);
    let stored: Value = serde_json::from_slice(&workspace.read(TOKEN_FILE)).expect("JSON");
    let record = server.finish();
    let sent = record.requests[1].field("Authorization").expect("curl sent the header").to_owned();
    assert_eq!(Some(sent.as_str()), stored["access_token"].as_str().map(|token| format!("Bearer {token}")).as_deref());
}

#[test]
fn a_failed_refresh_asks_curl_for_nothing() {
    if !is_native() {
        return;
    }
    let rotation = rotation();
    let server = serve(Script::once([refusal()]));
    let workspace = workspace_of("recipe-curl-refused", &rotation);
    let output = run_in(&workspace, &server, &recipe("curl.sh"));
    assert_eq!(output.status.code(), Some(77), "{}", report(&output));
    assert_eq!(server.finish().connections, 1);
}
