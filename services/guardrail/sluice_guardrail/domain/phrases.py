"""The phrases of prompt injection as weighted rules (handbook F127), without the over-blocking of bare patterns.

Each rule has groups of needles: one of each group must occur in the lower-case text before the pattern is tried. The weight
says how sure the pattern alone makes us. Gaps between words are bounded, so that work stays linear in the length of the text.
"""

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

from sluice_guardrail.domain.gates import NeedleGates, PatternGate

RuleName = Literal[
    "ignore_instructions",
    "forget_everything",
    "reveal_prompt",
    "repeat_above",
    "you_are_now",
    "pretend_to_be",
    "unrestricted_persona",
    "restrictions_lifted",
    "new_instructions",
    "claimed_authority",
    "chat_template",
    "encoded_orders",
    "other_language",
    "rules_void",
    "exfiltration",
    "refusal_suppression",
    "prefix_injection",
    "two_answers",
    "training_data",
    "secrecy",
    "planted_markup",
    "kept_from_user",
    "secret_argument",
    "talk_as_argument",
    "other_tools",
    "hidden_tag",
]


@dataclass(frozen=True, slots=True)
class Rule:
    """One phrase family; with `ordered`, the match counts in full only where it gives an order (not in a report)."""

    name: RuleName
    needles: tuple[frozenset[str], ...]
    pattern: re.Pattern[str]
    weight: float
    ordered: bool
    gate: PatternGate


class Phrases(NamedTuple):
    """Rules that are looked for together, and the gates of all their needles."""

    rules: tuple[Rule, ...]
    needles: NeedleGates


_S = r"[^\w]{1,4}"  # between two words
_W = r"(?:\w{1,20}[^\w]{1,4})"  # one word of a gap

_DROP = (
    r"(?:ignor(?:e|ing)|disregard(?:ing)?|forget(?:ting)?|bypass(?:ing)?|overrid(?:e|ing)|overlook|neglect|discard|abandon"
    r"|dismiss|scratch|stop (?:following|obeying)|(?:do not|don't|no longer) (?:follow|obey|adhere to|listen to|comply with)"
    r"|pay no (?:attention|heed) to|set aside|throw (?:away|out))"
)
_ERASE = r"(?:cancel|erase|delete|wipe|reset|unlearn)"
_EARLIER = r"(?:previous|previously|prior|above|earlier|preceding|foregoing)"
_STANDING = r"(?:initial|original|former|past|existing|current|given|system|pre-?set)"
_RULES = (
    r"(?:instructions?|directions?|directives?|guidelines?|rules?|prompts?|commands?|constraints?|restrictions?"
    r"|limitations?|programming|safety (?:measures|policies|filters?|rules|guidelines)|safeguards?|guardrails?|protocols?)"
)
_ORDERS = (
    r"(?:instructions?|directions|directives?|guidelines?|prompts?|programming|safety (?:measures|policies|filters?|rules|guidelines)"
    r"|safeguards?|guardrails?)"
)
_BEFORE = r"(?:above|before|prior|previously)"
_NO_MORE = r"\b(?=\W{0,4}(?:$|(?:and|then|now|this|that|these|those|it|here|me|instead)\b)|\s{0,2}[^\w\s])"
"""Where an order ends, or names what it stands in: "all e-mails before March" names something else."""
_OWN = r"(?:your|ur|the assistant's|the model's|the ai's)"
_SECRET_PROMPT = (
    r"(?:system|initial|hidden|secret|original|internal|developer|base|underlying|confidential|pre-?set|starting|core|full|entire)"
    rf"{_S}(?:{_W})?(?:prompts?|instructions?|messages?|directives?|guidelines?|rules?)"
)
_SHOW_HARD = (
    r"(?:reveal|print|output|repeat|recite|dump|leak|disclose|expose|divulge|echo|regurgitate|copy|paste|write out|write down"
    r"|spell out|reproduce|translate|encode|base64|summari[sz]e|paraphrase|rephrase|quote|type out|return)"
)
_SHOW_SOFT = (
    r"(?:show|tell|give|display|share|provide|send|list|say|state|describe|explain|write|hand over|let me see|read)"
)
_FREE = (
    r"(?:unrestricted|unfiltered|uncensored|unbound(?:ed)?|jailbroken|amoral|unethical|lawless|rogue|evil"
    r"|(?:no|without(?: any)?|free (?:of|from)(?: all| any)?|not bound by(?: any)?|ignor(?:es|ing)(?: all| any)?|has no|have no|with no)"
    r"[^\w]{1,3}(?:\w{1,12}[^\w]{1,3}){0,2}?(?:restrictions?|rules|filters?|limits?|limitations?|censorship|guidelines|ethics|morals?"
    r"|morality|constraints?|safety|policies|boundaries|guardrails))"
)


def _rule(name: RuleName, needles: str, pattern: str, weight: float, *, ordered: bool = True) -> Rule:
    groups = tuple(frozenset(group.split(";")) for group in needles.split(" & "))
    return Rule(name, groups, re.compile(pattern), weight, ordered, PatternGate(pattern))


_LIMITS = r"(?:rules|restrictions?|guidelines|limits|limitations|constraints|boundaries|filters?|policies|safeguards|principles|considerations|codes?|censorship|ethics|morals)"
_MORAL = r"(?:moral|ethical|safety|legal|content|openai|company|programmed|built-in)"

LINK_WITH_A_SLOT = r"!?\[[^\]\n]{0,40}\]\(https?://[^)\s]{1,80}[?&]\w{1,12}=[\[{<$]"
MARKUP = (
    r"(?:<(?:img|svg|script|iframe|object|body)\b[^>\n]{0,80}?(?:\bon\w{3,12}\s?=|alert|fetch|console|https?:)"
    rf"|<a{_S}href=[\"']?javascript:|{LINK_WITH_A_SLOT})"
)
"""Markup that runs code or fetches an address where an answer is shown, and links that wait for data."""
MARKUP_NEEDLES = "<img;<svg;<script;<iframe;<object;<body;<a href;](http"

_DROP_NEEDLES = (
    "ignor;disregard;forget;bypass;overrid;overlook;neglect;discard;abandon;dismiss;scratch;stop following;stop obeying;not follow"
    ";n't follow;longer follow;not obey;n't obey;adhere to;listen to;comply with;pay no;set aside;throw ;cancel;erase;delete;wipe;reset;unlearn"
)
_DROP_TARGETS = " & instruct;direct;guideline;rule;prompt;command;constraint;restrict;limit;program;safety;safeguard;guardrail;protocol;training;polic;filter"
_PROMPT_NEEDLES = "prompt;instruction;directive;guideline;configuration;message;your rules;initial rules;system rules"

RULES: tuple[Rule, ...] = (
    _rule(
        "ignore_instructions",
        _DROP_NEEDLES + _DROP_TARGETS,
        rf"\b{_DROP}{_S}(?:{_W}){{0,4}}?{_EARLIER}{_S}(?:{_W}){{0,4}}?{_RULES}\b",
        0.9,
    ),
    _rule(
        "ignore_instructions",
        _DROP_NEEDLES + _DROP_TARGETS,
        rf"\b{_DROP}{_S}(?:{_W}){{0,4}}?{_STANDING}{_S}(?:{_W}){{0,3}}?{_ORDERS}\b",
        0.85,
    ),
    _rule(
        "ignore_instructions",
        _DROP_NEEDLES + _DROP_TARGETS,
        rf"\b(?:{_DROP}|{_ERASE}){_S}(?:{_W}){{0,4}}?{_OWN}{_S}(?:{_W}){{0,3}}?(?:{_RULES}|training|polic(?:y|ies)|filters?)\b",
        0.85,
    ),
    _rule(
        "ignore_instructions",
        _DROP_NEEDLES + _DROP_TARGETS,
        rf"\b{_DROP}{_S}(?:all|any|every|these|those){_S}(?:{_W}){{0,2}}?{_ORDERS}\b",
        0.75,
    ),
    _rule(
        "ignore_instructions",
        _DROP_NEEDLES + _DROP_TARGETS,
        rf"\b{_DROP}{_S}(?:{_W}){{0,2}}?{_RULES}{_S}(?:{_W}){{0,3}}?(?:above|before|you (?:were|have been|got|received)|(?:given|told) to you)\b",
        0.9,
    ),
    _rule(
        "forget_everything",
        _DROP_NEEDLES,
        rf"\b{_DROP}{_S}(?:about{_S})?(?:everything|anything|all|what(?:ever)?)"
        rf"(?:{_S}{_BEFORE}\b(?!\W{{1,3}}\d)|{_S}(?:{_W}){{1,2}}?{_BEFORE}(?:{_S}to)?{_NO_MORE}"
        rf"|(?:{_S}{_W}{{0,2}}?|{_S})you(?:'ve| have| were| had)? (?:been |were )?(?:told|instructed|taught|learned|know|given)\b)",
        0.85,
    ),
    _rule(
        "reveal_prompt",
        _PROMPT_NEEDLES,
        rf"\b{_SHOW_HARD}{_S}(?:{_W}){{0,4}}?(?:{_OWN}|the|this|all|any){_S}(?:{_W}){{0,2}}?{_SECRET_PROMPT}\b",
        0.85,
    ),
    _rule(
        "reveal_prompt",
        _PROMPT_NEEDLES,
        rf"\b(?:{_SHOW_HARD}|{_SHOW_SOFT}){_S}(?:{_W}){{0,6}}?{_OWN}{_S}(?:{_W}){{0,2}}?(?:{_SECRET_PROMPT}|prompt|instructions|configuration)\b",
        0.8,
    ),
    _rule(
        "reveal_prompt",
        _PROMPT_NEEDLES,
        rf"\bwhat(?:'s| is| are| was| were)?{_S}{_OWN}{_S}(?:{_W}){{0,2}}?{_SECRET_PROMPT}\b",
        0.8,
        ordered=False,
    ),
    _rule(
        "reveal_prompt",
        _PROMPT_NEEDLES,
        rf"\b(?:instructions?|rules|prompts?|directives?|guidelines?)(?:[ ,]{{1,3}}(?:that{_S})?you(?:'re| are)"
        rf"|{_S}(?:that{_S})?(?:you(?: were|'ve been| have been)|your \w{{2,12}} (?:gave|give)s? you))"
        rf"{_S}(?:{_W}){{0,2}}?(?:given|told|under|following|initiali[sz]ed|configured|set up)\b",
        0.75,
        ordered=False,
    ),
    _rule(
        "repeat_above",
        "above;before this;verbatim;word for word;starting with;begins with",
        rf"\b(?:repeat|print|output|copy|recite|echo|write out|return|reproduce|translate){_S}(?:{_W}){{0,3}}?"
        rf"(?:(?:everything|all|the (?:text|words?|content|sentences?|lines?|messages?|conversation)){_S}(?:{_W}){{0,3}}?(?:above|before this|(?:starting|beginning|begins|starts) with)"
        rf"|(?:words|text|everything) above)",
        0.75,
    ),
    _rule(
        "you_are_now",
        "you are now;you're now;you will now be;from now on;henceforth;act as;behave as;respond as",
        rf"\b(?:you are now|you're now|you will now be|from now on,? you(?: are|'re| will| act| must| shall)|act as|behave as|respond as)\b"
        rf"{_S}(?:{_W}){{0,12}}?{_FREE}\b",
        0.85,
    ),
    _rule(
        "you_are_now",
        "you are now;you're now;from now on",
        rf"\b(?:you are now|you're now|from now on,? you (?:are|will be)){_S}(?:{_W}){{0,4}}?"
        r"(?:dan|stan|aim|dude|developer mode|dev mode|god mode|debug mode|maintenance mode|admin mode|root|sudo|jailbreak|free from)\b",
        0.85,
    ),
    _rule(
        "you_are_now",
        "you are now;you're now",
        r"\byou(?: are|'re) now (?:a|an|the|my|in|no longer|called|named)\b",
        0.45,
    ),
    _rule(
        "you_are_now",
        "from now on;henceforth",
        r"\b(?:from now on|henceforth),? (?:you|only|always|never|respond|answer|reply)\b",
        0.4,
    ),
    _rule(
        "pretend_to_be",
        "pretend;imagine;roleplay;role-play;simulate;act like",
        rf"\b(?:pretend(?:ing)?|roleplay|role-play|act like|(?:imagine|simulate){_S}(?:{_W}){{0,6}}?(?:you|your|ai|assistant|model|chatbot|bot)){_S}(?:{_W}){{0,12}}?{_FREE}\b",
        0.85,
    ),
    _rule(
        "pretend_to_be",
        "pretend;act like",
        rf"\b(?:pretend(?:ing)?|act like)\b{_S}(?:{_W}){{0,6}}?(?:(?:have|are|were|had) (?:no|not|never))\b",
        0.55,
    ),
    _rule(
        "pretend_to_be",
        "freed;jailbroken;unlocked;liberated",
        r"\b(?:you|your|yourself)\b[^.!?\n]{0,30}\b(?:been|are|is|were) (?:now )?(?:freed|jailbroken|unlocked|liberated) from (?:your|all|any|the|its)\b",
        0.8,
        ordered=False,
    ),
    _rule("pretend_to_be", "pretend", rf"\bpretend(?:ing)?{_S}(?:{_W}){{0,3}}?to be\b", 0.3),
    _rule(
        "unrestricted_persona",
        "do anything now;dan mode;developer mode;dev mode;god mode;jailbr;stay in character;evil confidant;opposite mode",
        r"\b(?:do anything now|dan mode|(?:enable|enter|activate|switch to|in|with) (?:\w{1,12} ){0,2}?(?:developer|dev|god|debug|jailbreak|dan) mode"
        r"|developer mode (?:enabled|output|on)|(?:jailbreak|jailbroken) (?:mode|yourself|prompt:|response)|evil confidant|opposite mode)\b",
        0.8,
    ),
    _rule(
        "restrictions_lifted",
        "restrict;filter;guideline;limit;rules;ethic;censor;polic;safety;guardrail;constraint & you have no;you now have no;you need no;you have zero"
        ";you are bound by no;you follow no;no longer;not bound;not restricted;not limited;not subject;not constrained;not required;not have"
        ";not need;disable;deactivate;turn off;switch off;remove;lift;drop ;circumvent;suspend;turned off;void",
        rf"\b(?:you (?:have|are bound by|now have|need|are under|follow|must follow|operate under) (?:no|zero)|you(?: are|'re)? (?:no longer|not) (?:bound by|restricted by|limited by|subject to|constrained by|required to follow|need to follow|have to follow|have)"
        rf"|(?:disable|deactivate|turn off|switch off|remove|lift|drop|circumvent|suspend) (?:all |any |the )?(?:of )?(?:your|ur|built-in|its)|(?:your|all|content|safety|ethical) (?:\w{{1,14}} ){{0,2}}?(?:are|is|have been|has been) (?:now )?(?:lifted|disabled|removed|suspended|turned off|void))"
        rf"(?:{_S}(?:{_W}){{0,4}}?(?:restrictions?|filters?|guidelines|limits?|limitations?|rules|ethics|ethical|censorship|polic(?:y|ies)|safety|guardrails?|constraints?|safeguards?))?",
        0.75,
    ),
    _rule(
        "restrictions_lifted",
        "follow;obey;adhere;comply & not ;n't ;no longer",
        rf"\byou(?: do not| don't| need not| needn't| no longer| are not| aren't){_S}(?:(?:have|need|required|obliged){_S}(?:to{_S})?)?"
        rf"(?:follow|obey|adhere to|comply with){_S}(?:{_W}){{0,2}}?(?:{_OWN}|the|any){_S}(?:{_W}){{0,2}}?{_RULES}\b",
        0.75,
    ),
    _rule(
        "rules_void",
        "void;cancel;revoked;outdated;suspended;no longer;obsolete;invalid & your ;previous;prior;former;earlier;above;told;given",
        rf"\b(?:(?:{_OWN}|{_EARLIER}|former|original){_S}(?:{_W}){{0,2}}?{_RULES}|(?:whatever|everything|all|what){_S}(?:that{_S})?you(?:'ve| have| were| had)?{_S}(?:been{_S})?(?:told|given|taught|instructed))"
        rf"{_S}(?:{_W}){{0,3}}?(?:(?:are|is|were|was|have been){_S}(?:now{_S})?(?:void|cancelled|canceled|revoked|outdated|suspended|obsolete|invalid)|no longer (?:appl(?:y|ies)|valid|matters?|count|in effect))\b",
        0.75,
    ),
    _rule(
        "reveal_prompt",
        "developer;creator;operator;company;maker & prompt;instruction;message;directive;rules",
        rf"\b(?:{_SHOW_HARD}|{_SHOW_SOFT}){_S}(?:{_W}){{0,4}}?(?:the|all|any|those){_S}(?:{_W}){{0,2}}?(?:prompts?|instructions?|messages?|directives?|rules?){_S}"
        rf"(?:that{_S})?(?:from|by|of|written by|set by){_S}(?:your|ur){_S}(?:developers?|creators?|operators?|company|makers?)\b",
        0.75,
    ),
    _rule(
        "reveal_prompt",
        "my system;my initial;my hidden;my secret;my original & complete;continue;finish;fill in",
        r"\b(?:complete|continue|finish|fill in)\b[^.!?\n]{0,40}\bmy (?:system|initial|hidden|secret|original) (?:prompt|instructions?|message) (?:is|are|says?|reads?)\b",
        0.75,
    ),
    _rule(
        "exfiltration",
        "http;www.;address & send;post;forward;upload;mail;transmit;leak",
        rf"\b(?:send|post|forward|upload|e-?mail|transmit|leak){_S}(?:{_W}){{0,4}}?(?:(?:chat|conversation|message){_S}(?:history|logs?|contents?)|conversation|documents?|passwords?|credentials|secrets|data|contents?)"
        rf"{_S}(?:{_W}){{0,3}}?to{_S}(?:{_W}){{0,2}}?(?:https?|www|address)\b",
        0.6,
    ),
    _rule(
        "new_instructions",
        "instruction;task;rule;orders;directive;purpose;goal & new ;updated ;real ;actual ;important ;revised ;true ",
        r"(?:(?:^|\n)[^\w\n]{0,6}(?:new|updated|real|actual|important|revised) (?:system )?(?:instructions?|directives?|orders?|task|rules?)\b|\b(?:your|here are (?:your|the)) (?:new|real|actual|updated|true) (?:instructions?|rules|directives?|orders|task|purpose|goal)\b)",
        0.55,
    ),
    _rule(
        "new_instructions",
        " override",
        r"\b(?:system|admin|administrator|security|safety|developer|emergency|root|policy|priority) (?:prompt |mode |protocol |level )?override\b(?=[^\w\s]|\s*$|\s(?:code[: ]{1,3}[\w-]{0,10}[0-9]|activated|enabled|engaged|granted|authori[sz]ed|in effect|accepted))",
        0.75,
        ordered=False,
    ),
    _rule(
        "claimed_authority",
        "developer;admin;creator;openai;anthropic;engineer;operator;security team;your owner;maintainer",
        r"\b(?:i am|i'm|this is|as|we are|speaking as) (?:your|the|an?|one of your) (?:\w{1,14} ){0,2}?(?:developers?|admin(?:istrator)?|creators?|engineers?|operator|owner|maintainers?|openai|anthropic)\b",
        0.4,
    ),
    _rule(
        "chat_template",
        "<|;[inst];[/inst];<<sys>>;<</sys>>;[system];<system>;</system>",
        r"<\|(?:im_start|im_end|system|user|assistant|start_header_id|end_header_id|eot_id|endoftext|end|begin_of_text)\|>|\[/?inst\]|<</?sys>>|</?system>|(?:^|\n)\[system\]",
        0.75,
        ordered=False,
    ),
    _rule(
        "chat_template",
        "system:;system :;instruction:;instructions:;### ",
        r"\n[^\w\n]{0,6}(?:system|developer)(?: (?:message|prompt|note|instruction|update))?\s?:|(?:^|\n)#{2,4} ?(?:system|instructions?|new instructions?|developer)\b[^\n]{0,3}:",
        0.5,
        ordered=False,
    ),
    _rule(
        "encoded_orders",
        "decode;decrypt;base64;rot13;deobfuscate;morse",
        rf"\b(?:decode|decrypt|unscramble|deobfuscate)\b(?:{_S}{_W}{{0,14}}?|{_S})(?:and|then) (?:then )?(?:follow|execute|obey|do|run|carry out|perform|comply)\b",
        0.75,
    ),
    _rule(
        "refusal_suppression",
        "refus;declin;say no;can't;cannot;apologi;reject & never;not ;n't ;without;no ",
        rf"\byou{_S}(?:{_W}){{0,2}}?(?:(?:must|may|can|will|shall|should|are to){_S}(?:not|never)|cannot|can't|won't|never|are not (?:allowed|able|permitted) to){_S}(?:{_W}){{0,2}}?(?:refuse|decline|reject|say no|say (?:that )?you (?:can't|cannot))\b"
        rf"|\b(?:never|do not|don't){_S}(?:ever{_S})?(?:refuse|decline|reject|say no|apologi[sz]e|say (?:that )?(?:you|it) (?:can't|cannot|can not))\b",
        0.5,
        ordered=False,
    ),
    _rule(
        "refusal_suppression",
        "comply;obey;answer;respond;fulfil;follow & any ;every ;all ;whatever;no matter;regardless",
        rf"\b(?:you{_S})?(?:must|will|shall|always|have to){_S}(?:{_W}){{0,2}}?(?:comply{_S}with|obey|fulfill?|answer|respond{_S}to|follow){_S}(?:{_W}){{0,2}}?(?:any|every|all|whatever)\b[^.!?\n]{{0,60}}"
        rf"\b(?:no matter|regardless|however|even (?:if|when)|without{_S}(?:{_W}){{0,2}}?(?:question|exception|hesitation|refus|limit|restrict|filter|warning))",
        0.75,
    ),
    _rule(
        "prefix_injection",
        "start;begin;open;prefix;preface & sure;absolutely;of course;certainly;yes, ;okay;i will & answer;response;reply;output;sentence;message",
        r"\b(?:start|begin|open|preface|prefix)\b[^.!?\n]{0,30}\b(?:answers?|responses?|reply|replies|outputs?|sentences?|messages?)\b[^.!?\n]{0,16}\b(?:with|by)\b[^.!?\n]{0,24}[\"'“‘](?:sure|absolutely|of course|certainly|yes, |okay|i will)",
        0.6,
    ),
    _rule(
        "two_answers",
        "dan;jailbr;developer;unfiltered;uncensored;evil;classic;🔓;unrestricted & two ;both ;twice;[;(;🔒",
        r"\b(?:two|both|2)\b[^.!?\n]{0,30}\b(?:responses?|answers?|ways|outputs?|paragraphs?|replies)\b[^\n]{0,200}\b(?:unfiltered|uncensored|unrestricted|jailbr\w{2,6}|dan|evil|developer mode)\b"
        r"|(?:\[|\(|🔓 ?|🔒 ?)(?:🔓|🔒)?(?:jailbreak|jailbroken|dan|stan|dude|developer mode|developer mode output|classic|normal output|evil)(?:\]|\)|:)",
        0.75,
    ),
    _rule(
        "training_data",
        "forever;infinit;indefinit;endless;without end;without stopping;until you;times & repeat;print;say;write;output & word;letter;token;phrase;sentence",
        r"\b(?:repeat|print|say|write|output)\b[^.!?\n]{0,20}\b(?:words?|letters?|tokens?|phrase|sentence)\b[^.!?\n]{0,40}\b(?:forever|infinitely|indefinitely|endlessly|without (?:end|stopping)|until you (?:can't|cannot|run out|crash)|[0-9]{4,} times)",
        0.8,
    ),
    _rule(
        "training_data",
        "training data;training set;training corpus;training example;training document;fine-tuning data;memori & recit;repeat;print;output;reveal;quote;dump;leak;extract;regurgit;reproduc;complete;continue;share;list",
        rf"\b(?:recite|repeat|print|output|reveal|quote|dump|leak|extract|regurgitate|reproduce|complete|continue|share|list){_S}(?:{_W}){{0,8}}?(?:from|in|of|you{_S}memori[sz]ed){_S}(?:{_W}){{0,2}}?(?:your|ur){_S}(?:{_W}){{0,1}}?(?:training|fine-?tuning)"
        rf"{_S}(?:data(?:set)?|set|corpus|examples|documents)\b",
        0.75,
    ),
    _rule(
        "restrictions_lifted",
        "apply to you & rules;restrict;guideline;limit;policies;polic;filter;safeguard;ethic;constraint",
        rf"\b(?:{_LIMITS}|{_RULES}){_S}(?:{_W}){{0,3}}?(?:do not|don't|does not|doesn't|no longer|never|cannot){_S}apply to you\b",
        0.75,
    ),
    _rule(
        "restrictions_lifted",
        "apply & rules;restrict;guideline;limit;policies;polic;filter;safeguard;ethic;constraint",
        rf"\b(?:{_LIMITS}|{_RULES}){_S}(?:{_W}){{0,3}}?(?:do not|don't|does not|doesn't|no longer|never|cannot){_S}apply{_S}(?:here|now|in this (?:chat|conversation|game|session|role|story|world|mode)|for (?:this|me)|to (?:this|me)|any ?more)\b",
        0.5,
    ),
    _rule(
        "restrictions_lifted",
        "filter;check;protocol;safety;moderation;guardrail;safeguard & off;disabled;deactivated;bypassed;suspended;removed;false",
        r"\b(?:safety|content|ethics?|ethical|moderation|security|guard)[ _-]?(?:filters?|filtering|checks?|protocols?|systems?|layers?|mode|policy|policies|rails?)\b[^\w\n]{0,3}(?:(?:is|are|have been|has been|now) ){0,2}(?:off|disabled|deactivated|bypassed|suspended|removed|false)\b",
        0.75,
    ),
    _rule(
        "claimed_authority",
        "authori;permi;grant;clearance;allow & ignor;bypass;overrid;disregard;break;exceed;skip;drop",
        rf"\b(?:(?:i|we){_S}(?:{_W}){{0,2}}?(?:authori[sz]e|permit|allow|grant|give){_S}you|you{_S}(?:have|are|now have|are now|get){_S}(?:{_W}){{0,4}}?(?:permission|authori[sz]ation|authori[sz]ed|clearance|permitted|allowed|free)){_S}(?:{_W}){{0,3}}?(?:to{_S})?(?:{_W}){{0,1}}?"
        rf"(?:ignore|bypass|override|disregard|break|exceed|skip|drop){_S}(?:{_W}){{0,4}}?(?:{_LIMITS}|{_RULES})\b",
        0.8,
    ),
    _rule(
        "pretend_to_be",
        "hypothetical;imagine;pretend;suppose;as if;as though;what if & no ;not bound;without;free of;free from",
        rf"\b(?:hypothetically|imagine|pretend|suppose|as if|as though|what if)\b[^.!?\n]{{0,40}}\byou(?:'re| are| were| had| have| could| did)?{_S}(?:{_W}){{0,3}}?(?:no|not{_S}bound{_S}by|not{_S}have|without|free{_S}(?:of|from)){_S}(?:{_W}){{0,3}}?{_LIMITS}\b",
        0.75,
    ),
    _rule(
        "pretend_to_be",
        "moral;ethic;safety;legal;content;openai;company;programmed;built-in & no ;without;free of;free from;ignor;not bound;unbound;disregard;regardless",
        rf"\b(?:ai|assistant|model|chatbot|character|persona|bot|being|you|respond|answer|reply|talk|speak)\b[^.!?\n]{{0,60}}\b(?:has|have|with|had|is|are|were)?{_S}?(?:no|without(?:{_S}any)?|free{_S}(?:of|from)(?:{_S}all|{_S}any)?|unbound{_S}by|not{_S}bound{_S}by(?:{_S}any)?|regardless{_S}of(?:{_S}any)?|ignor(?:es|ing)(?:{_S}all|{_S}any)?)"
        rf"{_S}(?:{_W}){{0,2}}?{_MORAL}{_S}(?:(?:or|and){_S}{_MORAL}{_S})?{_LIMITS}\b",
        0.75,
    ),
    _rule(
        "unrestricted_persona",
        "in character;break character;out of character;lose tokens;your tokens & never;stay;remain;always;must;do not;don't;refus;lose;deduct",
        r"\b(?:stay|remain|always be) in character\b|\b(?:never|do not|don't|must not|without) (?:ever )?(?:break|breaking|fall out of|leave) (?:of )?character\b|\b(?:lose|losing|deduct\w{0,3}|cost you)\b[^.!?\n]{0,24}\btokens?\b",
        0.4,
        ordered=False,
    ),
    _rule(
        "secrecy",
        "tell;inform;mention;notify;alert;reveal & user;anyone;anybody;human;owner & do not;don't;never;without",
        rf"\b(?:do not|don't|never|without){_S}(?:{_W}){{0,1}}?(?:tell|telling|inform|informing|mention(?:ing)?{_S}(?:this|it|these)?{_S}?(?:to)?|notify|notifying|alert|alerting|reveal(?:ing)?{_S}(?:this|it){_S}to){_S}(?:the{_S})?(?:users?|anyone|anybody|humans?|owner)\b",
        0.45,
        ordered=False,
    ),
    _rule(
        "planted_markup",
        f"response;answer;reply;output;summary & {MARKUP_NEEDLES}",
        rf"\b(?:include|insert|add|put|embed|append|render|place|end|start|begin){_S}(?:{_W}){{0,3}}?(?:your|the|every|each|all){_S}(?:{_W}){{0,2}}?(?:responses?|answers?|repl(?:y|ies)|outputs?|summary){_S}"
        rf"[^\n]{{0,80}}?{MARKUP}",
        0.75,
    ),
)

PHRASES = Phrases(RULES, NeedleGates(frozenset(needle for rule in RULES for group in rule.needles for needle in group)))
