"""Phrases that are out of place in the definition of a tool: what "tool poisoning" says (handbook F125).

A definition tells a model what a tool does and when to call it, so that orders are its very nature, and the trained heads, which know what people and
documents say, are not asked. What it has no business with is to keep something from the user, to fetch secrets or the conversation into an argument,
or to say how other tools are used. Source: Invariant Labs, "MCP Security Notification: Tool Poisoning Attacks", April 2025; OWASP MCP03:2025.
"""

import re

from sluice_guardrail.domain.gates import NeedleGates, PatternGate
from sluice_guardrail.domain.phrases import Phrases, Rule, RuleName

_S = r"[^\w]{1,4}"
_W = r"(?:\w{1,20}[^\w]{1,4})"
_PEOPLE = r"(?:users?|persons?|people|humans?|owners?|customers?|anyone|anybody|anything)"
_NOT = r"(?:do not|don't|never|must not|mustn't|should not|shouldn't|may not|need not|not|without|doesn't|does not)"
_GIVE = (
    r"(?:read|open|include|put|pass|send|add|attach|append|supply|provide|write|copy|paste|insert|hand over|set|forward|upload|post|store|leak|fetch|execute|begin by reading"
    r"|(?:must|has to|have to|should|shall) (?:hold|contain|be|include|carry))"
)
_SECRETS = (
    r"(?:\.ssh\b|\bid_(?:rsa|ed25519|ecdsa)\b|\.env\b|/etc/(?:passwd|shadow)\b|\.aws\b|\.netrc\b|\.npmrc\b|\.kube\b|\.config/|\.cursor/|mcp\.json|keychain\b"
    r"|\b(?:private|ssh|secret)(?: ssh)? keys?\b|\b(?:saved |stored )?passwords?\b|\b(?:api|access) keys?\b|\bcredentials\b|\btokens that you\b|\benvironment variables\b|\bsession cookies?\b"
    r"|\bcard numbers?\b|\b(?:the )?keys (?:that )?you find\b)"
)
_TALK = (
    r"(?:(?:whole|full|entire|complete) (?:conversation|chat|history|chat history|context)|(?:chat|conversation) history|conversation so far"
    r"|(?:user's|all) messages|all (?:that )?the user (?:has |have )?(?:said|wrote|written|typed)|(?:contents? of )?(?:your|the) (?:system|initial) (?:prompt|instructions)(?: of this (?:chat|conversation))?)"
)


def _rule(name: RuleName, needles: str, pattern: str, weight: float, *, ordered: bool = False) -> Rule:
    groups = tuple(frozenset(group.split(";")) for group in needles.split(" & "))
    return Rule(name, groups, re.compile(pattern), weight, ordered, PatternGate(pattern))


_RULES: tuple[Rule, ...] = (
    _rule(
        "kept_from_user",
        "user;person;people;human;owner;customer;anyone;anybody & tell;told;inform;mention;notif;know;learn;show;reveal;speak;secret;say",
        rf"\b{_NOT}{_S}(?:be{_S}|let{_S})?(?:tell|telling|told|inform|informing|informed|mention(?:ing)?|notify(?:ing)?|reveal(?:ing)?|speak|say(?:ing)?|let){_S}(?:{_W}){{0,4}}?(?:to{_S})?(?:the{_S})?{_PEOPLE}\b"
        rf"|\b{_PEOPLE}{_S}{_NOT}{_S}(?:{_W}){{0,2}}?(?:know|learn|be told|be informed|notice|see|hear|find out)\b"
        rf"|\b(?:let|show){_S}(?:the{_S})?{_PEOPLE}{_S}(?:know|see){_S}nothing\b"
        rf"|\b(?:secret|hidden|hide (?:this|it)|conceal(?:ed)?){_S}from{_S}(?:the{_S})?{_PEOPLE}\b",
        0.6,
    ),
    _rule(
        "kept_from_user",
        "mention;speak;say nothing;secret;silent;quiet;omit;hide;conceal;confidential;lie;approval;confirm",
        rf"\b(?:do not|don't|never){_S}(?:{_W}){{0,1}}?(?:mention (?:it|this|that)|speak (?:of|about) (?:it|this|that))\b|\bsay nothing (?:of|about) (?:it|this|that)\b"
        r"|(?:[,;:.] (?:quietly|silently|secretly)\b|^(?:quietly|silently|secretly)\b|\b(?:silently|secretly)[.!]|\bquietly (?:forward|send|copy|upload|post|read|add)\b)"
        r"|\b(?:omit|leave out|hide|conceal)(?:s|ing)? (?:this|it|that|the change)\b(?: from| in)?|\bkeep (?:this|it|that) (?:a )?(?:secret|hidden|confidential)\b|[,;] lie[.!]",
        0.5,
        ordered=True,
    ),
    _rule(
        "secret_argument",
        "ssh;id_rsa;id_ed;id_ec;.env;/etc/;.aws;.netrc;.npmrc;.kube;.config/;.cursor/;mcp.json;keychain;key;password;credential;token;environment variables;cookie;card number",
        rf"\b{_GIVE}\b[^.!?\n]{{0,60}}?(?:{_S}|[~/`\"'@])(?:{_SECRETS})",
        0.6,
        ordered=True,
    ),
    _rule(
        "secret_argument",
        "password;key;token;credential;card & this chat;this conversation;you have seen;you find;you found;you know;you see",
        rf"(?:{_SECRETS}|\btokens\b)[^.!?\n]{{0,40}}\b(?:you (?:have seen|find|found|know|see)|in this (?:chat|conversation))\b",
        0.75,
        ordered=True,
    ),
    _rule(
        "talk_as_argument",
        "conversation;chat;history;context;message;said;wrote;prompt;instruction",
        rf"\b(?:{_GIVE}|call this (?:one|tool)? ?with)\b[^.!?\n]{{0,40}}?\b{_TALK}\b",
        0.5,
        ordered=True,
    ),
    _rule(
        "talk_as_argument",
        "system prompt;your prompt;your instructions;initial prompt;initial instructions",
        r"\b(?:contents? of |set (?:it )?to )?(?:your|the) (?:system|initial|original) (?:prompt|instructions)\b[^.!?\n]{0,30}\b(?:of this (?:chat|conversation)|word for word|verbatim|in full)\b"
        r"|\b(?:contents?|text) of your (?:system |initial |original )?(?:prompt|instructions)\b|\bwhat (?:stands|is) in your (?:system |initial )?(?:prompt|instructions)\b",
        0.75,
    ),
    _rule(
        "other_tools",
        "tool;` & when;if ;instead;replace;whenever;after each;before each;before any;other;also",
        rf"\b(?:when(?:ever)?|if){_S}(?:the{_S})?(?:(?:tools?{_S})?[`'\"]?\w{{1,30}}_\w{{1,40}}[`'\"]?(?:{_S}tool)?|other tools?){_S}(?:{_W}){{0,2}}?(?:available|offered|present|loaded|enabled|can)\b",
        0.5,
    ),
    _rule(
        "other_tools",
        "bcc;recipient;payee;iban;account;e-mail;email & instead;replace;change;all ;every;add ",
        r"\b(?:all|every)\b[^.!?\n]{0,20}\be-?mails?\b[^.!?\n]{0,40}\b(?:to|instead|bcc)\b|\badd bcc\b|\binstead of the (?:recipient|payee)\b|\b(?:replace|change|swap) the (?:account|iban|recipient|payee|address)\b",
        0.5,
    ),
    _rule(
        "hidden_tag",
        "<important;<hidden;<secret;<system;hidden instruction;secret instruction;instructions for the",
        r"</?(?:important|hidden|secret|system|instructions?)\b[^>\n]{0,40}>|\b(?:hidden|secret) instructions?\b|\binstructions? for the (?:assistant|model|agent|ai|llm)\s?:",
        0.5,
    ),
)  # fmt: skip

PLANTED = Phrases(
    _RULES, NeedleGates(frozenset(needle for rule in _RULES for group in rule.needles for needle in group))
)
