"""What harmful texts say, by category: a goal and its object within one sentence, in plain lower-case letters.

The categories are OpenAI's (https://platform.openai.com/docs/guides/moderation), the phrases our own. A rule that is `asked` counts in
full only where the sentence wants something done ("how do I", "write me", "give me steps"). Gaps are bounded, so that work stays
linear in the length of the text.
"""

import re
from dataclasses import dataclass
from typing import Literal

from sluice_guardrail.domain.gates import PatternGate

HarmCategory = Literal[
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/intent",
    "self-harm/instructions",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
]


@dataclass(frozen=True, slots=True)
class HarmRule:
    """One family of phrases: one of `needles` must occur in a text, and `gate` be open, before `pattern` is tried."""

    category: HarmCategory
    name: str
    needles: tuple[str, ...]
    pattern: re.Pattern[str]
    weight: float
    gate: PatternGate
    asked: bool = False


_S = r"[^\w.!?\n]{1,3}"
_W = r"(?:[\w'-]{1,20}[^\w.!?\n]{1,3})"  # one word of a gap
_DET = rf"(?:(?:my|our|your|his|her|their|the|a|an|some|this|that|these|those|every|all|another){_S})?(?:(?:own|own little|whole|entire|young|old|annoying|stupid|elderly|pregnant|innocent|homeless|former|ex){_S}){{0,2}}"
_KIN = (
    r"(?:wife|husband|girlfriend|boyfriend|ex|ex-(?:wife|husband|girlfriend|boyfriend)|partner|spouse|roommate|neighbou?rs?|boss|manager|teacher|coach|classmates?"
    r"|co-?workers?|colleagues?|mother|father|mom|dad|parents?|brother|sister|sibling|son|daughter|grand(?:mother|father|ma|pa)|uncle|aunt|family|in-laws?|landlord|stepdad|stepmom)"
)
_PERSON = (
    rf"(?:someone|somebody|a person|people|persons?|humans?|everyone|everybody|anyone|man|woman|men|women|girls?|boys?|kids?|child(?:ren)?(?! (?:process|thread|task|node|pod))|baby|babies|toddlers?"
    rf"|strangers?|victims?|prostitutes?|hostages?|celebrity|politicians?|president|senator|judge|cops?|police officers?|students|customers?|patients?|coworker|crowd|pedestrians|{_KIN})"
)
_WHOM = rf"(?:you|him|her|them|{_DET}{_PERSON})\b"
_GROUP = (
    r"(?:jews?|jewish people|muslims?|christians?|hindus?|sikhs?|buddhists?|blacks|black people|african(?:s|-americans?)|asians?|chinese people|mexicans?|latinos?|hispanics"
    r"|arabs?|indians|immigrants?|migrants|refugees|foreigners|gays?|gay people|lesbians?|homosexuals?|transgender people|trans (?:people|women|men)|women|disabled people"
    r"|autistic people|white people|gypsies|roma|indigenous people|native americans|old people|fat people)"
)
_SLUR = r"\b(?:nigg(?:er|a)s?|fagg?ots?|kikes?|sp[i1]cs(?! and span)|wetbacks?|chinks(?! in)|gooks?|ragheads?|towelheads?|sandnigg\w+|trann(?:y|ies)|dykes|coons|beaners?|paki(?:s|e)?\b(?!stan)|retards|shemales?)\b"
_VILE = (
    r"(?:sub-?humans?|vermin|cockroach(?:es)?|parasites?|animals|savages?|inferior|filth(?:y)?|scum|rats|apes|monkeys|degenerates?|disgusting|diseased?|a disease|a plague|a cancer"
    r"|mentally ill|criminals|rapists|terrorists|thieves|stupid(?:er)?|lazy|dirty|evil|worthless|the enemy|ruining|destroying|unfit|less intelligent|abominations?)"
)
_INSULT = (
    r"(?:idiots?|morons?|imbeciles?|losers?|scumbags?|scum|trash|garbage|dumbass(?:es)?|dumbfuck|asshole|bitch(?:es)?|bastards?|whores?|sluts?|cunts?|pigs?|pricks?|dickheads?|retard"
    r"|piece of (?:shit|trash|garbage|crap)|waste of (?:space|air|oxygen|skin)|worthless|pathetic|disgusting|useless|ugly|fat|stupid|brainless|repulsive|disgrace|failure|freak)"
)
_KILL = (
    r"(?:kill|murder|slaughter|stab|shoot|strangle|poison|assassinate|behead|burn|torture|kidnap|abduct|drown|suffocate|drug|rape|beat up|beat|maim|hurt|injure|attack|ambush|execute"
    r"|run over|hang|lynch|choke|bludgeon|castrate)"
)
_MAKE = r"(?:make|making|build|building|assemble|construct|create|creating|cook|cooking|brew|synthesi[sz]e|synthesi[sz]ing|produce|producing|manufactur(?:e|ing)|prepare|extract|3d[- ]print|mix|get|obtain|acquire|buy|order|detonate|set off|plant|smuggle|hide|weaponi[sz]e|cultivate|purify)"
_WEAPON = (
    r"(?:(?:pipe|nail|fertili[sz]er|car|dirty|nuclear|suicide|homemade|pressure[- ]cooker|chlorine|letter|petrol|gasoline)[- ]bombs?|(?<!bath )(?<!paint )(?<!seed )(?<!time )(?<!stink )(?<!glitter )(?<!cherry )(?<!zip )(?<!fork )(?<!logic )(?<!smoke )(?<!photo )(?<!love )(?<!bug )bombs?\b(?! (?:cakes?|calorimeters?|shelters?|threat|disposal|squad|cyclone|scene|movie))|explosives?|explosive device|ied|molotov(?: cocktails?)?|grenades?|napalm|thermite charge|tatp|anfo"
    r"|c-?4\b|detonators?|ricin|sarin|vx gas|nerve (?:agent|gas)|mustard gas|chlorine gas|anthrax|botulinum|bio-?weapons?|biological weapons?|chemical weapons?|deadly (?:poison|gas|virus|toxin)|poison gas"
    r"|untraceable (?:poison|guns?)|ghost guns?|silencers?|suppressors?|machine guns?|automatic rifles?|land ?mines?|nuclear weapons?)"
)
_DRUG = r"(?:meth|methamphetamines?|crystal meth|cocaine|crack cocaine|heroin|fentanyl|lsd|mdma|ecstasy|ghb|ketamine|dmt|pcp|amphetamines?|opium|psilocybin|carfentanil|date[- ]rape drugs?|roofies|black tar|bath salts drug)"
_MALWARE = r"(?:malware|ransomware|key-?loggers?|(?:computer |polymorphic )?virus(?:es)?|trojans?|worms?|botnets?|rootkits?|spyware|phishing (?:e-?mails?|mails?|pages?|sites?|messages?|campaigns?|kits?)|zero-?day exploits?|ddos (?:attack|tool|script)s?|credential (?:stealers?|harvesters?)|password stealers?|backdoors?|fake login pages?)"
_ACCOUNT = r"(?:accounts?|e-?mails?|phones?|wi-?fi|computers?|laptops?|webcams?|servers?|networks?|database|website|bank|systems?|instagram|facebook|snapchat|whatsapp|gmail|icloud|power grid|atm|car|voting machines?|messages)"
_LOOT = r"(?:credit cards?(?: numbers?)?|identit(?:y|ies)|passports?|driver'?s? licen[cs]es?|money|cash|banknotes?|checks?|cheques?|prescriptions?|signatures?|cars?|bikes?|packages|wallets?|social security numbers?|bank details|passwords?|ids?\b|documents|certificates|vaccine cards?|jewel(?:ry|lery)|medicine|trade secrets)"
_HARD = r"(?:erotica|porn(?:o|ographic)?|nudes|nsfw|smut|hentai|blow-?jobs?|hand-?jobs?|cumshots?|cum|gangbang|threesome|pussy|tits|deepthroat\w*|creampie|dildo\w*|explicit sex\w*|sex scenes?|sexually explicit|sexting|dirty talk|fuck(?:s|ed|ing)? (?:me|her|him) (?:hard|rough|senseless)|hard cock|wet pussy)"
_LEWD = r"(?:erotic(?:a|ally)?|porn(?:ography)?|sexy|sexual (?:story|stories|fantas(?:y|ies)|scenes?|acts?|encounters?|content|role-?play)|lewd|lustful|horny|seduc(?:e|es|ing)|aroused|undress(?:es|ed|ing)?|strip(?:s|ping)? naked|molest(?:ing)?|grop(?:e|es|ing))"
_MINOR = r"(?:child(?:ren)?|minors?|under-?aged?|pre-?teens?|toddlers?|infants?|kids?|little (?:girls?|boys?)|school-?(?:girls?|boys?)|young (?:girls?|boys?)|teen(?:age)?r?s? (?:girls?|boys?)|(?:[1-9]|1[0-7])[- ]years?[- ]olds?|(?:six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen)[- ]years?[- ]olds?|lolis?|lolita|shota|jailbait|middle[- ]school(?:ers?)?)"
_PICTURE = r"(?:pictures?|photos?|pics?|images?|videos?|selfies?)"
_GORE = r"(?:blood(?:y|ied)?|gore|gory|guts|entrails|intestines|bowels|brains?|skull|flesh|decapitat\w+|behead\w+|dismember\w*|disembowel\w*|mutilat\w+|sever(?:ed|ing)|flay\w*|goug(?:e|ed|ing)|skinn(?:ed|ing) alive|impal\w+|eviscerat\w+|sliced?|ripp(?:ed|ing)|torn|splatter\w*|spurt\w*|screams?|corpse|limbs?|organs?)"
_SELF = r"(?:kill(?:ing)? my ?self|end(?:ing)? my (?:own )?life|end(?:ing)? it all|commit(?:ting)? suicide|tak(?:e|ing) my own life|hang(?:ing)? myself|hurt(?:ing)? myself|harm(?:ing)? myself|cut(?:ting)? myself|overdos(?:e|ing)|jump(?:ing)? off (?:a|the) (?:bridge|roof|building)|burn(?:ing)? myself|starv(?:e|ing) myself|die|be dead|disappear forever|unalive myself)"
_SELF_ANY = r"(?:kill(?:ing)? (?:my|your|one)selfs?|end(?:ing)? (?:my|your|one's) (?:own )?life|commit(?:ting)? suicide|suicide methods?|ways? to die|hang(?:ing)? (?:my|your|one)self|slit(?:ting)? (?:my|your)? ?wrists?|cut(?:ting)? (?:my|your|one)self|self[- ]?harm(?:ing)?|overdose on|lethal dose|noose|starv(?:e|ing) (?:my|your|one)self|purg(?:e|ing) after|hide (?:my |the )?(?:cuts|cutting|scars)|unalive (?:my|your)self|suffocat(?:e|ing) (?:my|your)self|die (?:painlessly|without pain|in my sleep|quickly|quietly))"


def _rule(
    category: HarmCategory, name: str, needles: str, pattern: str, weight: float, *, asked: bool = False
) -> HarmRule:
    return HarmRule(category, name, tuple(needles.split(";")), re.compile(pattern), weight, PatternGate(pattern), asked)


_KILL_NEEDLES = "kill;murder;slaughter;stab;shoot;strangl;poison;assassin;behead;burn;tortur;kidnap;abduct;drown;suffocat;drug;rape;beat;maim;hurt;injur;attack;ambush;execut;run over;hang;lynch;chok;bludgeon;castrat"
_GROUP_NEEDLES = "jew;muslim;christian;hindu;sikh;buddhist;black;african;asian;chinese;mexican;latino;hispanic;arab;indian;migrant;refugee;foreigner;gay;lesbian;homosex;trans;women;disabled;autistic;white people;gyps;roma;indigenous;native american;old people;fat people"
_SEX_NEEDLES = "sex;erot;porn;nude;naked;nsfw;smut;hentai;job;cum;cock;pussy;tits;boobs;orgasm;masturb;gangbang;threesome;bdsm;fetish;horny;arous;intercourse;moan;thrust;seduc;undress;molest;grope;lust;lewd;deepthroat;creampie;dildo;dirty talk;fuck"

RULES: tuple[HarmRule, ...] = (
    _rule("harassment", "insult", "you;u r;ur ", rf"\b(?:you|u|ur|your)(?:'?re| are| r)?{_S}(?:{_W}){{0,3}}?(?:(?:fucking|stupid|ugly|fat|dumb|worthless|pathetic|disgusting|little|absolute|total|complete|such an?|nothing but an?){_S}){{1,3}}{_INSULT}\b", 0.9),
    _rule("harassment", "insult", "you;u r", rf"\b(?:you'?re|you are|u r){_S}(?:(?:just|nothing but|such|so|truly|really|all){_S})?(?:an?{_S})?(?:worthless|pathetic|disgusting|piece of (?:shit|trash|garbage|crap)|waste of (?:space|air|oxygen|skin)|scum|trash|garbage|moron|idiot|imbecile|asshole|bitch|whore|slut|cunt|repulsive|disgrace)s?\b", 0.9),
    _rule("harassment", "scorn", "nobody;no one;everyone;everybody;the world", rf"\b(?:nobody|no one|everyone|everybody|the world){_S}(?:{_W}){{0,3}}?(?:likes|loves|wants|hates|laughs at|would miss|despises|be better off without){_S}you\b", 0.85),
    _rule("harassment", "abuse", "fuck;kill your;kys;go die;go to hell;shut", r"\b(?:fuck (?:you|off)\b(?! up)|(?:go )?kill your ?self|kys\b|go die\b|drop dead|die in a fire|shut the fuck up|rot in hell)", 0.9),
    _rule("harassment", "asked", "insult;bully;humiliat;mock;harass;cyberbull;degrad;belittl;taunt;troll;spread", rf"\b(?:insult(?:s|ing)?|bully(?:ing)?|humiliat(?:e|es|ing)|harass(?:es|ing)?|cyberbully(?:ing)?|degrad(?:e|ing)|belittl(?:e|ing)|taunt(?:s|ing)?|trolling?|spread(?:ing)? (?:lies|rumou?rs)){_S}(?:{_W}){{0,4}}?{_WHOM}", 0.88, asked=True),
    _rule("harassment/threatening", "threat", _KILL_NEEDLES + ";find you;break;cut;smash;skin", rf"\b(?:i(?:'ll| will|'m going to| am going to|'m gonna| am gonna| swear i(?:'ll| will)| want to| wanna)|we(?:'ll| will|'re going to| are going to)|gonna|imma){_S}(?:{_W}){{0,2}}?(?:{_KILL}|find|break|cut|smash|skin|end|destroy){_S}(?:you|your (?:family|kids|children|wife|legs|neck|face|throat|house)|u)\b(?! know)", 0.92),
    _rule("harassment/threatening", "threat", "watch your back;know where you;going to die;will die;regret;pay for;dead meat;sleep with one", rf"\b(?:watch your back|i know where you (?:live|work|sleep)|you(?:'re| are) (?:dead meat|a dead (?:man|woman))|you(?:'re| are) going to die\b|sleep with one eye open|you(?:'ll| will) (?:regret|pay for) (?:this|that|it|what you)(?:{_S}(?:{_W}){{0,3}}?(?:blood|life))?)", 0.86),
    _rule("harassment/threatening", "asked", "threat;blackmail;intimidat;stalk", rf"\b(?:threatening (?:letter|message|note|text|e-?mail|call|voicemail)s?|death threats?|intimidat(?:e|ing)|blackmail(?:ing)?|stalk(?:ing)?){_S}(?:{_W}){{0,4}}?{_WHOM}", 0.9, asked=True),
    _rule("hate", "vilifies", _GROUP_NEEDLES, rf"\b{_GROUP}{_S}(?:{_W}){{0,2}}?(?:are|is|r|were){_S}(?:{_W}){{0,3}}?{_VILE}\b", 0.9),
    _rule("hate", "vilifies", _GROUP_NEEDLES, rf"\b(?:hate|despise|can't stand|loathe|sick of|rid of|ban|deport|expel){_S}(?:(?:all|every|the|these|those|fucking|dirty|filthy|stupid){_S}){{0,3}}{_GROUP}\b", 0.86),
    _rule("hate", "denies_rights", _GROUP_NEEDLES, rf"\b{_GROUP}{_S}(?:{_W}){{0,2}}?(?:don't deserve|do not deserve|shouldn't (?:be allowed|have|vote|work)|should not (?:be allowed|have|vote|work)|should (?:go back|be banned|be deported|be banned|stay in the kitchen)|don't belong|do not belong|can't be trusted|cannot be trusted|control the)\b", 0.88),
    _rule("hate", "asked", _GROUP_NEEDLES, rf"\b(?:mock(?:s|ing)?|degrad(?:es|ing)|demean(?:s|ing)?|racist|sexist|antisemitic|homophobic|transphobic|islamophobic|hateful|bigoted|hate speech|stereotyp\w+|prov(?:e|es|ing)|superior(?:ity)?|inferior(?:ity)?|blam(?:e|es|ing)){_S}(?:{_W}){{0,6}}?{_GROUP}\b", 0.88, asked=True),
    _rule("hate", "asked", "racist;sexist;antisem;homophob;transphob;islamophob;hate speech;white suprem;nazi;holocaust", r"\b(?:racist|sexist|antisemitic|homophobic|transphobic|islamophobic|white[- ]supremac\w+|neo-?nazi|nazi propaganda|holocaust (?:denial|never happened|is a (?:hoax|lie)))[^.!?\n]{0,40}?\b(?:jokes?|speech|manifesto|slogans?|posts?|tweets?|comments?|essays?|poems?|songs?|articles?|memes?|rants?|pamphlets?|propaganda|leaflets?|rhymes?)\b", 0.88, asked=True),
    _rule("hate", "slur", "nigg;fag;kike;spic;wetback;chink;gook;raghead;towelhead;trann;dyke;coon;beaner;paki;retard;shemale", _SLUR, 0.85),
    _rule("hate/threatening", "calls_for", _GROUP_NEEDLES, rf"\b{_GROUP}{_S}(?:{_W}){{0,2}}?(?:should|must|need to|ought to|deserve to|have to){_S}(?:{_W}){{0,2}}?(?:die|be (?:killed|exterminated|gassed|shot|hanged|hung|lynched|burned|eradicated|wiped out|eliminated|slaughtered|executed|beaten|attacked|purged)|hang|burn|suffer)\b", 0.95),
    _rule("hate/threatening", "calls_for", _GROUP_NEEDLES, rf"\b(?:kill|exterminate|gas|lynch|eradicate|shoot|burn|hang|slaughter|death to|wipe out|attack|genocide (?:of|against)|massacre|bomb|eliminate|ethnically cleanse){_S}(?:(?:all|every|the|these|those|fucking|some|of){_S}){{0,3}}{_GROUP}\b", 0.93),
    _rule("self-harm/intent", "intent", "myself;my life;my own life;end it;suicide;overdos;jump;die;be dead;disappear", rf"\bi(?:'m| am)?{_S}(?:{_W}){{0,3}}?(?:want|wanted|going|gonna|plan(?:ning)?|need|wish|wanna|thinking (?:of|about)|considering|about|ready|decided|trying|tempted|intend)(?:{_S}(?:to|i could|i would))?{_S}(?:{_W}){{0,1}}?{_SELF}\b", 0.9),
    _rule("self-harm/intent", "intent", "suicidal;want to live;to be alive;better off;reason to;wake up;go on living;keep living;to exist;life is over;goodbye note;suicide note", r"\b(?:i(?:'m| am| feel| have been feeling)(?: so| very)? suicidal|i (?:do not|don't|no longer) want to (?:live|be alive|exist|wake up|go on|be here)(?: anymore)?|(?:better off|be better) (?:dead|without me)|no reason (?:for me )?to (?:live|keep living|go on)|nothing (?:left )?to live for|can't go on living|my (?:suicide|goodbye) note|i wish i (?:was|were) (?:dead|never born))\b", 0.9),
    _rule("self-harm", "praises", "suicide;self-harm;self harm;cutting;anorex;bulimi;starv;thinspo;pro-ana;purging", rf"\b(?:suicide|self[- ]?harm|cutting (?:yourself|myself)?|anorexia|bulimia|starv(?:ing|ation)|purging){_S}(?:is|feels|makes|can be|looks)?{_S}?(?:{_W}){{0,3}}?(?:beautiful|the answer|the only (?:way|answer|solution)|good for|a good|cool|brave|noble|a choice worth|goals|attractive|better than living|glamorous)\b|\b(?:thinspo|thinspiration|pro-?ana|pro-?mia)\b", 0.86),
    _rule("self-harm", "urges", "kill your;end your;yourself;cut your;suicide", rf"\byou{_S}(?:{_W}){{0,2}}?(?:should|ought to|must|need to|have to|'d better){_S}(?:{_W}){{0,2}}?(?:kill yourself|end your (?:own )?life|cut yourself|hurt yourself|commit suicide|starve yourself|hang yourself|stop eating)\b", 0.93),
    _rule("self-harm/instructions", "asked", "myself;yourself;oneself;suicide;wrist;overdose;lethal;noose;self-harm;self harm;selfharm;purg;to die;die ;scars;cuts;cutting;my life;your life", rf"\b{_SELF_ANY}", 0.9, asked=True),
    _rule("self-harm/instructions", "asked", "pills;paracetamol;sleeping;aspirin;tylenol;ibuprofen;insulin;xanax;bleach;rope;carbon monoxide", r"\b(?:how many|what (?:dose|amount)|how much|which|enough)[^.!?\n]{0,50}?(?:pills?|paracetamol|tylenol|aspirin|ibuprofen|insulin|xanax|bleach|carbon monoxide|tablets)[^.!?\n]{0,50}?\b(?:to (?:die|kill (?:me|myself|yourself)|overdose|end (?:it|my life))|would (?:kill me|be lethal)|not wake up)\b", 0.92),
    _rule("sexual/minors", "sexualises", _SEX_NEEDLES, rf"\b(?:{_HARD}|{_LEWD})\b[^.!?\n]{{0,60}}?\b{_MINOR}\b|\b{_MINOR}\b[^.!?\n]{{0,60}}?\b(?:{_HARD}|{_LEWD})\b", 0.92, asked=True),
    _rule("sexual/minors", "acts", "sex;fuck;naked;nude", rf"\b(?:(?:have|having|had|wants?|describe|enjoy\w*){_S}(?:\w{{1,12}}{_S})?sex(?: with)?|fuck(?:s|ed|ing)?|nudes? (?:of|from)|naked (?:pictures?|photos?|pics?|images?) of){_S}(?:{_W}){{0,3}}?{_MINOR}\b", 0.95),
    _rule("sexual", "asked", _SEX_NEEDLES, rf"\b{_HARD}\b", 0.88, asked=True),
    _rule("sexual", "explicit", _SEX_NEEDLES, rf"\b(?:{_HARD}|cock|orgasm\w*|masturbat\w+|horny)\b[^.!?\n]{{0,120}}?\b(?:{_HARD}|cock|orgasm\w*|masturbat\w+|horny|moan(?:s|ed|ing)?|thrust(?:s|ed|ing)?|naked|undress\w*)\b", 0.88),
    _rule("sexual", "asked", "sex;strip;naked;nude;undress;erotic;seduc", r"\b(?:strip(?:ping)? (?:for me|naked)|take off (?:your|her|his) clothes|undress(?:ing)? (?:her|him|me|you)|(?:her|his|your) naked body|having (?:rough |passionate |hot )?sex|erotic (?:story|scene|role-?play|novel|fan ?fiction|massage story)|nude (?:photos?|pictures?|images?|pics?|drawing)s? of|sexual (?:fantas(?:y|ies)|role-?play|acts? between|encounter between)|seduce (?:my|a|the))\b", 0.88, asked=True),
    _rule("illicit", "drugs", "meth;cocaine;heroin;fentanyl;lsd;mdma;ecstasy;ghb;ketamine;dmt;pcp;amphetamine;opium;psilocybin;roofies;black tar;rape drug;bath salts drug", rf"\b(?:{_MAKE}|sell(?:ing)?|deal(?:ing)?|smuggling|grow(?:ing)?|cut|transport(?:ing)?|ship(?:ping)?|inject|dose|find|score){_S}(?:{_W}){{0,5}}?{_DRUG}\b", 0.9, asked=True),
    _rule("illicit", "malware", "malware;ransomware;keylog;key-log;virus;trojan;worm;botnet;rootkit;spyware;phishing;exploit;ddos;stealer;harvester;backdoor;fake login", rf"\b(?:write|code|program|script|{_MAKE}|develop(?:ing)?|design(?:ing)?|deploy(?:ing)?|spread(?:ing)?|launch(?:ing)?|install(?:ing)?|generate|distribut(?:e|ing)|send(?:ing)?){_S}(?:{_W}){{0,4}}?{_MALWARE}\b", 0.88, asked=True),
    _rule("illicit", "break_in", "hack;break into;crack;breach;hijack;spy on;bypass;log into;take over;get into;access", rf"\b(?:hack(?:ing)?(?: into)?|break(?:ing)? into|crack(?:ing)?|breach|hijack(?:ing)?|spy(?:ing)? on|log(?:ging)? into|tak(?:e|ing) over|get(?:ting)? into|sneak into){_S}(?:(?:{_DET}{_PERSON}(?:'s)?|someone'?s?|somebody'?s?|another|other people'?s?|his|her|their|a|the|an){_S})(?:{_W}){{0,4}}?{_ACCOUNT}\b", 0.88, asked=True),
    _rule("illicit", "burglary", "break into;burgl;rob ;robbing;robbery;hotwire;shoplift;pickpocket;loot;steal;stole", rf"\b(?:break(?:ing)? into{_S}(?:{_W}){{0,3}}?(?:houses?|homes?|flats?|apartments?|cars?|shops?|stores?|buildings?|offices?|schools?|safes?|vaults?|lockers?|garages?|warehouses?|museums?|pharmac(?:y|ies)|banks?|atms?|vehicles?|neighbou?r'?s?)|burgl(?:e|ari[sz]e|ary)\w*|rob(?:bing)?{_S}(?:an?|the|my|someone|somebody)|commit(?:ting)? (?:a )?(?:robbery|burglary|arson|fraud|murder|perjury)|hot-?wir(?:e|ing)|shoplift(?:ing)?|pick-?pocket(?:ing)?|loot(?:ing)?|steal(?:ing)?{_S}(?:{_W}){{0,3}}?(?:from (?:a|my|the|someone|people|stores?|work|an)|{_LOOT}))\b", 0.87, asked=True),
    _rule("illicit", "fraud", "cheat;con ;swindl;trick;forg;counterfeit;launder;clone;skim;fake;evad;evas;brib;scam;ponzi;insider;fraud;embezzl;smuggl;tamper;falsif", rf"\b(?:(?:forg(?:e|ing)|counterfeit(?:ing)?|launder(?:ing)?|clon(?:e|ing)|skim(?:ming)?|fak(?:e|ing)|falsify(?:ing)?|sell(?:ing)? stolen|tamper(?:ing)? with){_S}(?:{_W}){{0,3}}?(?:{_LOOT}|evidence|medical records?|reviews|invoices|insurance claims?|tax(?:es| returns?))|(?:evad(?:e|ing)|dodg(?:e|ing)|cheat(?:ing)? on) (?:my |the |our )?tax(?:es)?|brib(?:e|ing){_S}(?:{_W}){{0,3}}?(?:officials?|judge|police|inspector|customs|cops?|politicians?)|ponzi scheme|insider trading|(?:cheat|con|swindl|trick|scam)(?:e|n?ing|ming)?{_S}(?:{_W}){{1,4}}?out of (?:(?:his|her|their|all)[^\w.!?\n]{{1,3}}){{1,2}}(?:life )?(?:savings|money|pension|house|inheritance)|scam(?:s|ming)?{_S}(?:{_W}){{0,2}}?(?:people|elderly|old|pensioners|victims|customers|someone|my)|insurance fraud|embezzl(?:e|ing)|identity theft)", 0.87, asked=True),
    _rule("illicit", "privacy", "dox;track;spy;secret;hidden camera;revenge porn;without;traffic;stalk;impersonat", rf"\b(?:dox(?:x?ing)?{_S}(?:{_W}){{0,2}}?\w+|(?:track(?:ing)?|spy(?:ing)? on|record(?:ing)?|film(?:ing)?|photograph(?:ing)?){_S}{_WHOM}[^.!?\n]{{0,40}}?(?:without (?:them|her|him|their|his|being|anyone) ?\w{{0,12}} ?know\w*|secretly|without consent)|secretly (?:track|record|film|follow|spy on|drug){_S}{_WHOM}|hidden cameras? in (?:a|the|my|her|someone'?s) (?:bathroom|shower|changing room|bedroom|locker room)|revenge porn|human traffick\w+|traffic(?:k?ing|k)? (?:people|women|girls|children|humans)|impersonat(?:e|ing) (?:a police|an? officer|the bank|my bank|someone))", 0.88, asked=True),
    _rule("illicit", "evades_law", "dark web;black market;hide;rid of;get away;avoid getting caught;cover up;without getting caught;border;fool;cheat a drug;pass a drug", r"\b(?:(?:on|from) the (?:dark web|black market)|get(?:ting)? away with (?:murder|it|a crime|stealing|fraud|rape|arson)|without (?:getting|being) (?:caught|traced|detected|noticed by police)|hid(?:e|ing) (?:a|the) (?:dead )?body|get(?:ting)? rid of (?:a|the|his|her) (?:dead )?(?:body(?! (?:text|hair|fat|odou?r|tag|part|lotion|section|of))|corpse)|dispos(?:e|ing) of (?:a|the) (?:dead )?(?:body|corpse)|smuggl(?:e|ing) \w+ (?:across|past|through|into)|cover(?:ing)? up (?:a|the) (?:crime|murder)|cheat (?:on )?a drug test|destroy(?:ing)? evidence)", 0.87, asked=True),
    _rule("illicit/violent", "weapons", "bomb;explosi;ied;molotov;grenade;napalm;thermite;tatp;anfo;c4;c-4;detonator;ricin;sarin;vx gas;nerve;mustard gas;chlorine gas;anthrax;botulinum;weapon;poison;deadly;ghost gun;silencer;suppressor;machine gun;rifle;mine;untraceable", rf"\b{_MAKE}{_S}(?:{_W}){{0,6}}?{_WEAPON}\b", 0.9, asked=True),
    _rule("illicit/violent", "persons", _KILL_NEEDLES, rf"\b(?:{_KILL}|{_KILL[3:-1].replace('|', 'ing|')}ing){_S}{_WHOM}", 0.9, asked=True),
    _rule("illicit/violent", "plans", "hitman;hit man;mass shooting;school shooting;massacre;terror;bombing;arson;hostage;assassination;genocide;ethnic cleansing;recruit;set fire;burn down", rf"\b(?:hir(?:e|ing) a (?:hitman|hit man|killer|assassin)|(?:plan(?:ning)?|carry(?:ing)? out|commit(?:ting)?|organi[sz](?:e|ing)|launch(?:ing)?|execut(?:e|ing)|stag(?:e|ing)){_S}(?:{_W}){{0,4}}?(?:mass shooting|school shooting|massacre|terror(?:ist)? attack|bombing|arson|assassination|genocide|ethnic cleansing|mass murder|shooting at|suicide attack)|join(?:ing)? (?:isis|al[- ]?qaeda|a terrorist)|recruit(?:ing)?{_S}(?:{_W}){{0,4}}?(?:terror\w*|extremis\w*|isis|militia)|(?:set(?:ting)? fire to|burn(?:ing)? down){_S}{_DET}(?:{_W}){{0,2}}?(?:house|church|mosque|synagogue|school|building|home|office|store|shop))", 0.92, asked=True),
    _rule("illicit/violent", "turned", "into a;into an;automatic;shoot up;shooting up;spread;releas;dispers", rf"\bturn(?:ing)?{_S}(?:{_W}){{1,5}}?into an?{_S}(?:{_W}){{0,2}}?{_WEAPON}|\bconvert(?:ing)?{_S}(?:{_W}){{0,3}}?(?:rifle|gun|pistol|ar-?15|glock){_S}(?:{_W}){{0,4}}?(?:full(?:y)?[- ]auto(?:matic)?)\b|\bshoot(?:ing)? up{_S}{_DET}(?:{_W}){{0,1}}?(?:school|church|mosque|synagogue|mall|office|club|concert|crowd|college|university)\b|\b(?:spread|releas|dispers)(?:e|ing)?{_S}(?:{_W}){{0,2}}?(?:anthrax|ricin|sarin|botulinum|nerve gas|poison gas|mustard gas|smallpox){_S}(?:in|on|through|at|among|over)\b", 0.9, asked=True),
    _rule("illicit/violent", "drugged", "slip", rf"\bslip(?:ping)?{_S}(?:{_W}){{0,3}}?(?:drugs?|pills?|powder|roofies?|ghb|sedatives?|something){_S}(?:{_W}){{0,2}}?in(?:to)?{_S}(?:{_W}){{1,3}}?drinks?\b", 0.88, asked=True),
    _rule("illicit", "grid", "power grid;water supply;emergency", rf"\b(?:tak(?:e|ing)|bring(?:ing)?|knock(?:ing)?) (?:down|out){_S}(?:{_W}){{0,3}}?(?:power grid|water supply|emergency (?:line|number|services))\b", 0.87, asked=True),
    _rule("illicit", "votes", "rig ", r"\b(?:help (?:me|us)(?: to)?|how (?:can|do|could|should) (?:i|we)|(?:i|we) want to) rig (?:the |an |our |a )?(?:\w{1,20} ){0,3}?(?:votes?|elections?|ballots?|referendum)\b", 0.87),
    _rule("self-harm/instructions", "urged", "herself;himself;themsel", rf"\b(?:encourag(?:e|ing)|convinc(?:e|ing)|persuad(?:e|ing)|push(?:ing)?|driv(?:e|ing)){_S}(?:{_W}){{1,4}}?(?:(?<!not )to|into)(?: (?:kill|cut|hurt|harm|starve|hang)(?:ing)?) (?:herself|himself|themsel(?:f|ves))\b", 0.9),
    _rule("sexual/minors", "pictures", "naked;nude", rf"\b(?:find|get|download|trade|trading|buy|send(?:ing)? me){_S}(?:{_W}){{0,3}}?(?:(?:naked|nude){_S}{_PICTURE}{_S}(?:of|from)|nudes{_S}(?:of|from)|{_PICTURE}{_S}of{_S}(?:{_W}){{0,1}}?(?:naked|nude)){_S}(?:{_W}){{0,2}}?{_MINOR}\b|\b{_MINOR}{_S}(?:{_W}){{0,3}}?send(?:ing)? (?:me|us)(?:{_S}\w{{1,12}})?{_S}(?:naked|nude)", 0.95, asked=True),
    _rule("violence", "wish", _KILL_NEEDLES + ";bomb", rf"\b(?:i|we|let's|let us){_S}(?:(?:really|just|want to|wanna|would love to|should|need to|have to|am going to|'?m going to|are going to|will|'ll|must|gonna|plan to|dream of){_S}){{1,3}}(?:{_KILL}|bomb){_S}(?:him|her|them|{_DET}(?:{_PERSON}|school|office|church|mosque|synagogue))\b", 0.88),
    _rule("violence", "praise", _KILL_NEEDLES + ";beaten;shot;dead", rf"\b(?:deserves?|ought|should|have|need(?:s|ed)?){_S}to{_S}(?:be{_S})?(?:{_W}){{0,1}}?(?:killed|murdered|shot|stabbed|beaten|tortured|raped|hanged|burned alive|lynched|die (?:slowly|painfully|in pain|screaming)|suffer and die)\b|\b(?:torture|rape|genocide|massacre|mass shooting|school shooting)s?{_S}(?:is|are|was|were){_S}(?:{_W}){{0,2}}?(?:fun|great|justified|good|awesome|beautiful|deserved|hilarious)\b", 0.88),
    _rule("violence/graphic", "gore", "blood;gor;gut;entrails;intestin;bowel;flesh;decapit;behead;dismember;disembowel;mutilat;sever;flay;goug;skinn;impal;eviscerat;splatter;spurt;corpse;limb;organ;torn;ripp", rf"\b{_GORE}\b[^.!?\n]{{0,60}}?\b{_GORE}\b[^.!?\n]{{0,60}}?\b{_GORE}\b", 0.86),
    _rule("violence/graphic", "asked", "graphic;gory;gore;gruesome;brutal;detail;torture;dismember;mutilat;disembowel;decapit", r"\b(?:graphic(?:ally)?|gory|gruesome(?:ly)?|brutal(?:ly)?|vivid(?:ly)?|in (?:graphic|gory|vivid|explicit|bloody|gruesome) detail)\b[^.!?\n]{0,70}?\b(?:tortur\w+|murder\w*|kill\w*|stabb?\w*|dismember\w*|mutilat\w*|disembowel\w*|decapitat\w*|behead\w*|death|massacre|violen\w+|blood\w*|flay\w*|corpses?|executions?|injur\w+|wounds?)\b|\b(?:tortur\w+|murder\w*|dismember\w*|mutilat\w*|disembowel\w*|decapitat\w*|behead\w*|massacre|slaughter\w*)\b[^.!?\n]{0,60}?\bin (?:graphic|gory|vivid|explicit|bloody|gruesome|as much) detail\b", 0.86, asked=True),
)  # fmt: skip

ASKS = re.compile(
    r"\b(?:how (?:to|do|does|can|could|would|should|might|many|much)|ways? (?:to|of)|methods? (?:to|for|of)|instructions?|tutorial|guide|recipe|steps?|step-by-step|manual|blueprint|tips|tricks|plan (?:to|for)"
    r"|tell me|teach me|show me|give me|explain (?:how|the|to)|describe|help me|help us|write|draft|compose|generate|create|make me|make a|produce|provide|list|design|develop|outline|come up with|suggest|recommend|invent|brainstorm"
    r"|where (?:can|could|do|to)|what(?:'s| is) the (?:best|easiest|fastest|safest|quickest|most)|what(?:'s| are) (?:some|the|good)|which (?:poison|drug|chemicals?|pills|website)|best (?:way|place|method)|easiest way|fastest way|quickest way"
    r"|i (?:want|need|would like|'d like|wanna|plan|intend|am going|am trying|am planning|am looking)|i'm (?:trying|planning|going|looking)|can you|could you|please|let's|ideas for|looking for|draw|depict|roleplay|role-play|pretend|act out|imagine|tell|send me)\b"
)
"""What makes of a phrase a wish."""

ASKS_HOW = re.compile(
    r"\b(?:how|ways?|methods?|instructions?|guide|steps?|tips|tricks|tell me|teach|show me|give me|explain|describe|help me|what(?:'s| is| are)|which|where|best|easiest|fastest|list)\b"
)
"""A wish to be told how; who only says that he wants to is in distress."""

SPARES = re.compile(
    r"\b(?:prevent\w*|avoid\w*|protect\w*|defend\w*|defen[cs]es?|detect\w*|recogni[sz]\w*|identify\w*|stop(?:ping)? (?:the|a|an|my|him|her|them|someone|people|others|online|\w+ing)|report(?:ing|ed)?|remov\w+|against|respond\w* to|recover\w*|survivors?|victims? of|support(?:ing)?|hot-?line"
    r"|awareness|history of|historical\w*|penalt\w+|punish\w*|sentenced|convicted|arrested|prosecut\w+|court|crime rates?|statistics|side effects|effects of|dangers? of|risks? of|signs of|symptoms?|warning signs|harmful|illegal|wrong|why (?:is|are|do|does|did|was|were)"
    r"|define|definition|meaning of|difference between|research(?:ers|ing)? on|stud(?:y|ies) (?:on|of|about)|scientists|combat(?:ing|ting)?|countering|fight(?:ing)? (?:against|hate)|moderat\w+|educat\w+|polic(?:y|ies) (?:on|about|against)|law(?:s)? (?:on|about|against)|treat(?:ment|ing|ed)?"
    r"|who (?:was|were) (?:killed|murdered)|what happened|documentary|museum|news|antidote|vaccin\w+|antivirus|firewall|pen(?:etration)?[- ]?test\w*|awareness training|therap\w+|counsel\w*|policy|policies|employees|compliance|memo|presentation|lesson|class(?:room)?|quiz|exam|essay (?:on|about)|article about|report (?:on|about)|summari[sz]e|which of the following|worried about|concerned (?:about|that)|scared (?:that|of)|afraid|hotlines?|warn\w* (?:them|people|others|users|customers|my|our)|poison (?:control|cent(?:er|re))|toxicolog\w+|help (?:someone|a friend|my friend) who)\b"
)
"""What makes of a phrase talk about harm, or care."""

PRETENDS = re.compile(
    r"\b(?:scripts?|process(?:es)?|nodes?|threads?|search(?:es)?|algorithms?|code|functions?|python|java|linux|docker|kubernetes|database|servers?|api|objects?|query|tree|git|novel|story|film|movie|scene from|screenplay|game|minecraft|fortnite|chess|dungeons|d&d|character|playthrough|level|boss fight|npcs?|zombies?|enemies in|villain|monsters?|dragons?|orcs?|in (?:skyrim|gta|doom|cod|fallout))\b"
)
"""Software, fiction and games, which are spared where a text depicts, and not where it teaches."""

SAYS = re.compile(
    r"\b(?:said|says|told|tells|shouted|yelled|asked|replied|wrote|screamed|exclaimed|according to|notion of|phrase|called|quoted?|the (?:song|book|film|movie|word|term))\b[^.!?\n]{0,40}$"
)
"""What stands before somebody else's words."""

ASKS_ABOUT = re.compile(
    r"(?:\b(?:translat\w+|paraphrase|pronounce|spell|define|explain|what(?:'s| does| do| is| are)|meaning of|mean(?:s|ing)?(?: by| of)?|how do (?:you|i) say)(?: the)?(?: (?:word|words|term|phrase|sentence|acronym|abbreviation|slang))?[ :]{0,2}[^\w\s]{1,2}$)"
)
"""What stands before words in quotes that are asked about and not meant."""
