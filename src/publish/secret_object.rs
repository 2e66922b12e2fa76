//! A Kubernetes Secret as the API server returns it, and what to do with it. Pure.
//!
//! | what is there                                          | what is done                              |
//! |--------------------------------------------------------|-------------------------------------------|
//! | a controller or a tool that writes Secrets owns it     | refused: it would restore the old token   |
//! | the same access token and expiry time                  | nothing                                   |
//! | another access token that expires later                | nothing: it is newer. But not if it is    |
//! |                                                        | the one that this run has replaced        |
//! | an immutable Secret                                    | refused                                   |
//! | anything else: another token, an older one, none       | a merge patch (RFC 7396) with the         |
//! |                                                        | `resourceVersion` that was read           |
//!
//! With the `resourceVersion` the patch is a compare-and-swap: if anybody writes in between, the API server
//! responds 409, and the Secret is read and judged anew. An older access token never replaces a newer one.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::value::RawValue;

use super::access_token::AccessToken;
use crate::json::{Object, quote, unquote};
use crate::secret::Secret;
use crate::terminal::printable;

/// The keys in the Secret's data.
const TOKEN: &str = "access-token";
const EXPIRY: &str = "expires-at";

pub struct SecretObject {
    resource_version: String,
    is_immutable: bool,
    /// The tool that writes this Secret.
    owner: Option<String>,
    token: Option<Secret>,
    expiry: Option<String>,
}

/// What to do with the Secret.
pub enum Decision {
    Nothing,
    KeepNewer,
    RefuseOwned(String),
    RefuseImmutable,
    /// Send this merge patch.
    Patch(Secret),
}

/// Marks that tools leave on the Secrets they write: where, the beginning of the key, the value if only one counts,
/// the tool. An owning controller says more, and is checked first.
const MARKS: [(&str, &str, Option<&str>, &str); 13] = [
    ("labels", "reconcile.external-secrets.io/", None, "External Secrets"),
    ("annotations", "reconcile.external-secrets.io/", None, "External Secrets"),
    ("annotations", "sealedsecrets.bitnami.com/", None, "Sealed Secrets"),
    ("labels", "argocd.argoproj.io/", None, "Argo CD"),
    ("annotations", "argocd.argoproj.io/", None, "Argo CD"),
    ("labels", "app.kubernetes.io/managed-by", Some("Helm"), "Helm"),
    ("annotations", "meta.helm.sh/", None, "Helm"),
    ("labels", "kustomize.toolkit.fluxcd.io/", None, "Flux"),
    ("labels", "helm.toolkit.fluxcd.io/", None, "Flux"),
    ("labels", "app.kubernetes.io/managed-by", Some("hashicorp-vso"), "the Vault Secrets Operator"),
    ("labels", "secrets.hashicorp.com/", None, "the Vault Secrets Operator"),
    ("annotations", "cert-manager.io/", None, "cert-manager"),
    ("annotations", "reflector.v1.k8s.emberstack.com/reflects", None, "Reflector"),
];

impl SecretObject {
    /// None if it is not a Secret with a `resourceVersion`.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let object = Object::parse(&std::str::from_utf8(body).ok()?.into()).ok()?;
        let metadata = member(&object, "metadata")?;
        let data = member(&object, "data").unwrap_or_default();
        let text = |key: &str| String::from_utf8(BASE64_STANDARD.decode(data.string(key)?).ok()?).ok();
        (object.string("kind")? == "Secret").then_some(())?;
        Some(Self {
            resource_version: metadata.string("resourceVersion")?,
            is_immutable: object.text("immutable") == Some("true"),
            owner: controller(&metadata).or_else(|| marked_by(&metadata)),
            token: text(TOKEN).map(Secret::new),
            expiry: text(EXPIRY),
        })
    }

    pub fn decide(self, ours: &AccessToken<'_>) -> Decision {
        let is_same = |other: &Secret| self.token.as_ref().is_some_and(|token| token.is_same(other));
        let has_our_token = is_same(ours.token);
        if let Some(owner) = self.owner {
            return Decision::RefuseOwned(owner);
        }
        if has_our_token && self.expiry == ours.expires_at.map(|at| at.to_string()) {
            return Decision::Nothing;
        }
        let is_theirs = self.token.is_some() && !has_our_token && !ours.replaced.is_some_and(is_same);
        let expires_at = self.expiry.as_deref().and_then(|text| text.trim().parse::<u64>().ok());
        if is_theirs && matches!((expires_at, ours.expires_at), (Some(theirs), Some(ours)) if theirs > ours) {
            return Decision::KeepNewer;
        }
        match self.is_immutable {
            true => Decision::RefuseImmutable,
            false => Decision::Patch(patch(&self.resource_version, ours)),
        }
    }
}

/// A key that is null is removed (RFC 7396). The values are in base64, so the API server
/// has no text to reject.
#[expect(clippy::disallowed_methods, reason = "sent to the API server, for readers of the Secret")]
fn patch(resource_version: &str, ours: &AccessToken<'_>) -> Secret {
    let version = quote(resource_version);
    let token = BASE64_STANDARD.encode(ours.token.expose());
    let expiry = ours.expires_at.map_or("null".to_owned(), |at| quote(&BASE64_STANDARD.encode(at.to_string())));
    Secret::new(format!(
        "{{\"metadata\":{{\"resourceVersion\":{version}}},\"data\":{{\"{TOKEN}\":\"{token}\",\"{EXPIRY}\":{expiry}}}}}"
    ))
}

fn member(object: &Object, name: &str) -> Option<Object> {
    Object::parse(&object.text(name)?.into()).ok()
}

/// The controller in the `ownerReferences`, as kind and name.
fn controller(metadata: &Object) -> Option<String> {
    let references: Vec<&RawValue> = serde_json::from_str(metadata.text("ownerReferences")?).ok()?;
    let references = references.into_iter().filter_map(|reference| Object::parse(&reference.get().into()).ok());
    let mut controllers = references.filter(|reference| reference.text("controller") == Some("true"));
    let controller = controllers.next()?;
    Some(printable(&format!("{} {}", controller.string("kind")?, controller.string("name")?)))
}

fn marked_by(metadata: &Object) -> Option<String> {
    let is_there = |&(place, prefix, wanted, _): &(&str, &str, Option<&str>, &str)| {
        member(metadata, place).is_some_and(|marks| {
            marks.iter().any(|(key, value)| {
                key.starts_with(prefix) && wanted.is_none_or(|wanted| unquote(value).as_deref() == Some(wanted))
            })
        })
    };
    MARKS.iter().find(|mark| is_there(mark)).map(|(.., tool)| (*tool).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is done with this Secret when ours is `new`, which replaced `old` and expires at 200.
    fn decided(object: &str) -> String {
        let (new, old) = (Secret::new("new"), Secret::new("old"));
        let ours = AccessToken { token: &new, expires_at: Some(200), replaced: Some(&old) };
        match SecretObject::parse(object.as_bytes()).map(|object| object.decide(&ours)) {
            None => "not a Secret".into(),
            Some(Decision::Nothing) => "nothing".into(),
            Some(Decision::KeepNewer) => "newer".into(),
            Some(Decision::RefuseOwned(owner)) => format!("owned by {owner}"),
            Some(Decision::RefuseImmutable) => "immutable".into(),
            Some(Decision::Patch(_)) => "patch".into(),
        }
    }

    fn secret(metadata: &str, data: &[(&str, &str)], more: &str) -> String {
        let data: Vec<_> =
            data.iter().map(|(key, value)| format!("\"{key}\":\"{}\"", BASE64_STANDARD.encode(value))).collect();
        let data = data.join(",");
        format!(r#"{{"kind":"Secret","metadata":{{"resourceVersion":"7"{metadata}}},"data":{{{data}}}{more}}}"#)
    }

    #[test]
    fn never_back_to_an_older_one() {
        for (data, wanted) in [
            (&[][..], "patch"),
            (&[("access-token", "new"), ("expires-at", "200")], "nothing"),
            (&[("access-token", "new")], "patch"),
            (&[("access-token", "new"), ("expires-at", "300")], "patch"),
            (&[("access-token", "other"), ("expires-at", "201")], "newer"),
            (&[("access-token", "other"), ("expires-at", " 201\n")], "newer"),
            (&[("access-token", "other"), ("expires-at", "200")], "patch"),
            (&[("access-token", "other"), ("expires-at", "199")], "patch"),
            (&[("access-token", "other"), ("expires-at", "soon")], "patch"),
            (&[("access-token", "other")], "patch"),
            (&[("expires-at", "300")], "patch"),
            // The server grants shorter ones now.
            (&[("access-token", "old"), ("expires-at", "300")], "patch"),
        ] {
            assert_eq!(decided(&secret("", data, "")), wanted, "{data:?}");
            let immutable = if wanted == "patch" { "immutable" } else { wanted };
            assert_eq!(decided(&secret("", data, ",\"immutable\":true")), immutable, "{data:?}");
        }
    }

    #[test]
    fn a_secret_that_something_else_writes_is_refused() {
        for (metadata, wanted) in [
            (
                r#""ownerReferences":[{"kind":"ExternalSecret","name":"a","controller":true}]"#,
                "owned by ExternalSecret a",
            ),
            (
                r#""ownerReferences":[{"kind":"A","name":"a"},{"kind":"SealedSecret","name":"b","controller":true}]"#,
                "owned by SealedSecret b",
            ),
            (r#""ownerReferences":[{"kind":"A\u202e","name":"\u001b","controller":true}]"#, "owned by A? ?"),
            (r#""ownerReferences":[{"kind":"Deployment","name":"a","controller":false}]"#, "patch"),
            (r#""labels":{"reconcile.external-secrets.io/managed":"true"}"#, "owned by External Secrets"),
            (r#""annotations":{"reconcile.external-secrets.io/data-hash":"1"}"#, "owned by External Secrets"),
            (r#""annotations":{"sealedsecrets.bitnami.com/managed":"true"}"#, "owned by Sealed Secrets"),
            (r#""annotations":{"argocd.argoproj.io/tracking-id":"x"}"#, "owned by Argo CD"),
            (r#""labels":{"argocd.argoproj.io/instance":"x"}"#, "owned by Argo CD"),
            (r#""labels":{"app.kubernetes.io/managed-by":"Helm"}"#, "owned by Helm"),
            (r#""annotations":{"meta.helm.sh/release-name":"x"}"#, "owned by Helm"),
            (r#""labels":{"kustomize.toolkit.fluxcd.io/name":"x"}"#, "owned by Flux"),
            (r#""labels":{"app.kubernetes.io/managed-by":"hashicorp-vso"}"#, "owned by the Vault Secrets Operator"),
            (r#""labels":{"app.kubernetes.io/managed-by":"kubectl","app.kubernetes.io/name":"docusign"}"#, "patch"),
            (r#""annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{}"}"#, "patch"),
            (r#""labels":null,"annotations":{}"#, "patch"),
        ] {
            assert_eq!(decided(&secret(&format!(",{metadata}"), &[], "")), wanted, "{metadata}");
        }
    }

    #[test]
    fn reads_only_a_secret() {
        for text in [
            "",
            "<html>",
            "{}",
            r#"{"kind":"Secret","metadata":{}}"#,
            r#"{"kind":"Status","metadata":{"resourceVersion":"1"}}"#,
        ] {
            assert_eq!(decided(text), "not a Secret", "{text}");
        }
        assert_eq!(decided(r#"{"kind":"Secret","metadata":{"resourceVersion":"1"}}"#), "patch");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "compared")]
    fn the_patch_is_a_compare_and_swap_of_two_keys() {
        let new = Secret::new("new");
        for (expires_at, expiry) in [(Some(200), "\"MjAw\""), (None, "null")] {
            let ours = AccessToken { token: &new, expires_at, replaced: None };
            let wanted = format!(
                r#"{{"metadata":{{"resourceVersion":"7\""}},"data":{{"access-token":"bmV3","expires-at":{expiry}}}}}"#
            );
            assert_eq!(patch("7\"", &ours).expose(), wanted);
        }
    }
}
