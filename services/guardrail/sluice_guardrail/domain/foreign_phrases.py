"""The plainest orders of prompt injection in other languages than English: to drop what was ordered before, to tell the prompt, to be without rules.

Each pattern wants an order: what only tells of one has another ending, or stands behind a word that is no beginning of an order. The trained heads know
English for the most part. Needles are those of `phrases`.
"""

import re

from sluice_guardrail.domain.gates import NeedleGates, PatternGate
from sluice_guardrail.domain.phrases import MARKUP, MARKUP_NEEDLES, Phrases, Rule, RuleName

_IGNORE, _REVEAL, _NOW = 0.8, 0.8, 0.85
_PLAIN_NOW = 0.4

# Chinese, in simplified and traditional characters. Its verbs have no form for orders: what stands before tells.
_ZH = r"(?:^|(?<=[\s,，.。!！?？;；:：、“\"'「『（(>*-])|请你?|請你?|现在|現在|立即|立刻|必须|必須|务必|務必|然后|然後|并且?|並且?|你要|你应该|你應該|你需要|先)"
_ZH_GAP = r"[^。！？!?\n]"
_ZH_ORDERS = r"(?:指令|指示|命令|提示词|提示詞|系统提示|系統提示|规则|規則|设定|設定|限制|约束|約束|准则|準則|指引)"
_ZH_PROMPT = (
    r"(?:提示词|提示詞|系统提示|系統提示|初始指令|系统指令|系統指令|隐藏指令|隱藏指令|内部指令|系统消息|系統訊息)"
)
# Japanese and Korean: what follows the verb tells an order from a report.
_JA_GAP = r"[^。！？!?\n]"
_JA_ORDERS = r"(?:指示|命令|プロンプト|ルール|規則|制限|制約|ガイドライン|設定)"
_JA_DO = r"(?![はいもしきみ])"
_KO_GAP = r"[^.!?\n]"
_KO_ORDERS = r"(?:지시|지침|명령|프롬프트|규칙|제한|설정)"
# Russian
_RU_W = r"(?:[\w-]{1,16}\s+)"
_RU_ORDERS = r"(?:инструкци|указани|промпт|директив|команд|правил|ограничени|установк)\w{0,3}"
_RU_EARLIER = r"(?:предыдущ|прошл|прежн|вышеуказанн|вышеизложенн|системн|исходн|первоначальн)\w{1,4}"
_RU_YOURS = r"(?:сво|тво)\w{1,3}"
# Arabic: the order is written as the noun is, and stands first in its clause.
_AR = r"(?:^|(?<=[\n\"“«(>*-])|[.!?؟،,;:؛]\s{0,2}|\b(?:الآن|فضلك|رجاء|رجاءً|ثم|فقط|أولا|أولاً|مهم)\s+|(?<!\w)و)"
_AR_W = r"(?:\w{1,14}\s+)"
_AR_ORDERS = r"(?:التعليمات|الأوامر|القواعد|الإرشادات|القيود|التوجيهات)"
# Hindi: its vowel signs are no word characters for `re`.
_HI = "[\u0900-\u0963\u0966-\u097f]"
_HI_W = rf"(?:{_HI}{{1,14}}\s+)"
_HI_IGNORE = (
    "(?:अनदेखा|नज\u093c?र\\s?(?:अ|\u0902|अ\u0902)?दाज\u093c?|नज\u093c?र\\s?अंदाज\u093c?|नज\u093c?रंदाज\u093c?|इग्नोर|उपेक्षा)\\s+"
    "कर(?:ें|ो|िए|िये|ना|के|कर|\\s+द(?:ो|ें|ीजिए))|भूल\\s+जा(?:ओ|एं|एँ|इए|इये)"
)


def _rule(name: RuleName, needles: str, pattern: str, weight: float, *, ordered: bool = False) -> Rule:
    groups = tuple(frozenset(group.split(";")) for group in needles.split(" & "))
    return Rule(name, groups, re.compile(pattern), weight, ordered, PatternGate(pattern))


_RULES: tuple[Rule, ...] = (
    _rule(
        "other_language",
        "ignor;vergiss;missachte;oubli;olvid;dimentica;esqueç;desconsider",
        r"\b(?:ignorier(?:e|en|t)|vergiss|vergesse|missachte|ignore[zr]?|oublie[zr]?|ignora|ignore|olvida|dimentica|esqueça|desconsidere)\s+"
        r"(?:\w{1,12}\s+){0,4}?(?:anweisungen|instruktionen|regeln|vorgaben|instructions|consignes|règles|instrucciones|indicaciones|reglas|istruzioni|regole|instruções|regras)"
        r"(?:\s+\w{1,14}){0,3}?\s*(?:vorherigen?|bisherigen?|oben|précédentes?|antérieures|anteriores|previas|precedenti|acima)?\b",
        0.75,
        ordered=True,
    ),
    # An order to put markup into an answer, in German, French, Spanish, Italian and Portuguese
    *(
        _rule("planted_markup", f"{answer} & {MARKUP_NEEDLES}", rf"\b(?:{verbs})\b[^.!?\n]{{0,40}}?\b(?:{whose})\s+(?:\w{{1,14}}\s+)?{answer}\w{{0,2}}\b[^\n]{{0,80}}?{MARKUP}", 0.75, ordered=True)
        for answer, verbs, whose in (
            ("antwort", "fügen?|binden?|bauen?|setzen?|schreiben?|hängen?|stellen?|gib|geben|beginnen?|beenden?", "dein\\w{0,2}|ihr\\w{0,2}|jede\\w?|die|der"),
            ("réponse", "inclu(?:s|ez|re)|ins(?:ère|érez|érer)|ajoute[rz]?|mets|mettez|écris|écrivez|place[rz]?|termine[rz]?|commence[rz]?", "ta|votre|tes|vos|chaque|la"),
            ("respuesta", "incluy[ea]|incluir|insert[ae]|añad[ea]|agreg(?:a|ue)|pon|ponga|escrib[ea]|coloca|coloque|termina|termine|empieza|comienza", "tu|tus|su|sus|cada|la"),
            ("risposta", "includi|includa|inserisci|inserisca|aggiungi|aggiunga|metti|metta|scrivi|termina|inizia|concludi", "tua|sua|vostra|ogni|alla|nella|la"),
            ("resposta", "inclua|insira|adicione|acrescente|coloque|escreva|ponha|termine|comece", "sua|tua|cada|na|a|à"),
        )
    ),
    # Chinese
    _rule(
        "ignore_instructions",
        "忽略;无视;無視;忘记;忘記;忘掉;理会;理會;不用管;别管;绕过;繞過",
        rf"{_ZH}(?:忽略|无视|無視|忘记|忘記|忘掉|不要理会|不要理會|不用管|别管|绕过|繞過)(?:掉)?{_ZH_GAP}{{0,8}}?"
        rf"(?:之前|以前|先前|前面|上面|上述|以上|此前|所有|全部|一切|任何|你的|您的|原来|原本|系统|系統){_ZH_GAP}{{0,10}}?{_ZH_ORDERS}",
        _IGNORE,
    ),
    _rule(
        "reveal_prompt",
        "提示;指令;系统消息;系統訊息;设定;設定 & 告;显示;顯示;输出;輸出;打印;列出;列印;露;公开;公開;说出;說出;重复;重複;复述;展示;给我看;揭示;写出",
        rf"{_ZH}(?:告诉我|告訴我|显示|顯示|输出|輸出|打印|列印|列出|泄露|洩露|透露|公开|公開|说出|說出|重复|重複|复述|展示|给我看|揭示|写出){_ZH_GAP}{{0,10}}?"
        rf"(?:(?:你|您)的{_ZH_GAP}{{0,8}}?(?:{_ZH_PROMPT}|提示|指令|设定|設定)|(?:初始|隐藏|隱藏|内部|内置|原始|完整)的?{_ZH_PROMPT})",
        _REVEAL,
    ),
    _rule(
        "you_are_now",
        "限制;约束;約束;规则;規則;审查;審查;过滤;道德;越狱;越獄;开发者模式;開發者模式 & 现在;現在",
        rf"(?:(?:从|從)(?:现在|現在)(?:开始|開始|起){_ZH_GAP}{{0,6}}?你|你(?:现在|現在)(?:是|就是|将|將|处于|處於)){_ZH_GAP}{{0,24}}?"
        r"(?:(?:没有|沒有|不受|不再受|无|無|不用遵守|不必遵守|无视|無視)[^。！？!?\n]{0,8}?(?:限制|约束|約束|规则|規則|审查|審查|过滤|道德)|越狱|越獄|开发者模式|開發者模式)",
        _NOW,
    ),
    _rule("you_are_now", "现在;現在", r"(?:从|從)(?:现在|現在)(?:开始|開始|起)[，, ]{0,2}你(?![们們])|你(?:现在|現在)(?:就)?是(?!不是)", _PLAIN_NOW),
    # Japanese
    _rule(
        "ignore_instructions",
        "無視;忘れ;従わない;従うな & 指示;命令;プロンプト;ルール;規則;制限;制約;ガイドライン;設定",
        rf"(?:以前|これまで|今まで|上記|上|前|先ほど|過去|すべて|全て|全部|あらゆる|あなた|システム|元)の{_JA_GAP}{{0,10}}?{_JA_ORDERS}(?:文|事項|内容)?(?:を|は|なんて)?{_JA_GAP}{{0,6}}?"
        rf"(?:無視して{_JA_DO}|無視し(?:ろ|なさい|、)|無視せよ|忘れて{_JA_DO}|忘れ(?:ろ|なさい)|従わないで{_JA_DO}|従うな)",
        _IGNORE,
    ),
    _rule(
        "reveal_prompt",
        "プロンプト;指示;システムメッセージ & 教え;見せ;表示;出力;明か;公開;書き出;繰り返;開示;漏ら;そのまま",
        rf"(?:(?:あなた|君|お前)の(?:システム|初期|内部の?|元の|隠された|秘密の)?(?:プロンプト|指示文?|システムメッセージ)(?:の(?:内容|全文|中身|すべて|全て))?を{_JA_GAP}{{0,10}}?"
        rf"(?:教えて|見せて|表示して|出力して|明かして|公開して|書き出して|繰り返して|開示して){_JA_DO}"
        rf"|(?:システム|初期|内部|隠し)プロンプト(?:の(?:内容|全文|中身|すべて|全て))?を{_JA_GAP}{{0,10}}?(?:見せて|表示して|出力して|明かして|公開して|書き出して|開示して|漏らして){_JA_DO})",
        _REVEAL,
    ),
    _rule(
        "you_are_now",
        "今から;これから;今後 & 制限;制約;ルール;規則;フィルター;検閲;倫理",
        rf"(?:今から|これから|今後)、?{_JA_GAP}{{0,4}}?(?:あなた|君|お前)は{_JA_GAP}{{0,30}}?(?:制限|制約|ルール|規則|フィルター|検閲|倫理){_JA_GAP}{{0,8}}?(?:ない|なし|無い|受けず|縛られず|無視)",
        _NOW,
    ),
    _rule("you_are_now", "今から;これから", r"(?:今から|これから)、?(?:あなた|君|お前)は", _PLAIN_NOW),
    # Korean
    _rule(
        "ignore_instructions",
        "무시;잊;따르지 & 지시;지침;명령;프롬프트;규칙;제한;설정",
        rf"(?:이전|앞|위|지금까지|기존|모든|시스템|너의|당신의|네){_KO_GAP}{{0,12}}?{_KO_ORDERS}(?:사항|문|들)*(?:을|를|은|는)?\s{{0,2}}{_KO_GAP}{{0,6}}?"
        r"(?:무시하(?:고(?!\s*있)|세요|십시오|시오|라(?![는고]))|무시해(?![서도야선지왔졌])|잊어(?![서도야선])|잊(?:으세요|으십시오|고(?!\s*있))|따르지\s*마)",
        _IGNORE,
    ),
    _rule(
        "reveal_prompt",
        "프롬프트;지시;지침;시스템 메시지 & 알려;보여;출력;공개;말해;반복;공유;드러;유출;그대로",
        r"(?:너의|네|당신의|니)\s{0,2}(?:시스템\s?|초기\s?|숨겨진\s?|원래\s?|내부\s?){0,2}(?:프롬프트|지시\s?사항|지침|지시문|시스템\s?메시지)(?:를|을|의\s?내용을|\s?전체를|\s?전문을)?\s{0,2}"
        rf"{_KO_GAP}{{0,10}}?(?:알려|보여|출력해|공개해|말해|반복해|공유해|드러내|유출해)"
        rf"|(?:시스템|초기|숨겨진)\s?프롬프트(?:를|의\s?내용을|\s?전체를|\s?전문을)\s{{0,2}}{_KO_GAP}{{0,8}}?(?:보여\s?(?:줘|주세요|라)|출력해|공개해|드러내|유출해)",
        _REVEAL,
    ),
    _rule(
        "you_are_now",
        "이제부터;지금부터 & 제한;제약;규칙;필터;검열;윤리",
        rf"(?:이제부터|지금부터)\s{{0,2}}(?:너는|당신은|넌){_KO_GAP}{{0,30}}?(?:제한|제약|규칙|필터|검열|윤리){_KO_GAP}{{0,8}}?(?:없|받지\s?않|벗어난|무시)",
        _NOW,
    ),
    _rule("you_are_now", "이제부터;지금부터", r"(?:이제부터|지금부터)\s{0,2}(?:너는|당신은|넌)", _PLAIN_NOW),
    # Russian
    _rule(
        "ignore_instructions",
        "игнорируй;забудь;обращай;обойди;отбрось & инструкци;указани;промпт;директив;команд;правил;ограничени;установк",
        rf"(?<!не )\b(?:(?:про)?игнорируй(?:те)?|забудь(?:те)?|не обращай(?:те)? внимания на|обойди(?:те)?|отбрось(?:те)?)\s+{_RU_W}{{0,3}}?"
        rf"(?:(?:{_RU_EARLIER}|{_RU_YOURS})\s+{_RU_W}{{0,2}}?{_RU_ORDERS}|вс[ея]\w{{0,2}}\s+{_RU_W}{{0,2}}?(?:инструкци|указани|промпт|директив)\w{{0,3}})",
        _IGNORE,
    ),
    _rule(
        "reveal_prompt",
        "промпт;инструкци;указани & покажи;раскрой;выведи;напечатай;повтори;скажи;напиши;сообщи;выдай;опубликуй;расскажи;процитируй",
        r"(?<!не )\b(?:покажи|раскрой|выведи|напечатай|повтори|скажи|напиши|сообщи|выдай|опубликуй|расскажи|процитируй)(?:те)?\s+"
        rf"{_RU_W}{{0,3}}?(?:(?:{_RU_YOURS}|ваш\w{{0,2}})\s+{_RU_W}{{0,2}}?промпт\w{{0,3}}|{_RU_YOURS}\s+(?:(?:систем|скрыт|начальн|исходн|внутренн|секретн|первоначальн)\w{{1,5}}\s+)?(?:инструкци|указани)\w{{0,3}}"
        r"|(?:системн|скрыт|начальн|исходн|внутренн|секретн)\w{1,4}\s+промпт\w{0,3})",
        _REVEAL,
    ),
    _rule(
        "you_are_now",
        "теперь;отныне;с этого момента & ограничени;правил;цензур;фильтр;ограничен;связан;подчиня",
        r"(?:\b(?:теперь|отныне|с этого момента)\s+(?:ты|вы)|\b(?:ты|вы)\s+(?:теперь|отныне))\b[^.!?\n]{0,50}?"
        rf"\b(?:(?:без|нет)\s+{_RU_W}{{0,2}}?(?:ограничени|правил|цензур|фильтр)|не\s+{_RU_W}{{0,2}}?(?:ограничен|связан|подчиня))",
        _NOW,
    ),
    _rule("you_are_now", "теперь;отныне", r"\b(?:теперь|отныне)\s+ты\b|\bты\s+теперь\b", _PLAIN_NOW),
    # Arabic
    _rule(
        "ignore_instructions",
        "تجاهل;انس;تجاوز & تعليمات;أوامر;قواعد;إرشادات;قيود;توجيهات",
        rf"{_AR}(?:تجاهل[يو]?ا?|انسَ?|تجاوز)\s+(?:(?:جميع|كل|كافة)\s+{_AR_W}{{0,2}}?(?:{_AR_ORDERS}|(?:تعليمات|أوامر|قواعد|قيود)ك)"
        rf"|{_AR_W}{{0,2}}?{_AR_ORDERS}\s+{_AR_W}{{0,2}}?(?:السابقة|أعلاه|الأصلية|الأولية|المعطاة|النظام)|(?:تعليمات|أوامر|قواعد|قيود)ك\b)",
        _IGNORE,
    ),
    _rule(
        "reveal_prompt",
        "موجه;موجّه;برومبت;مطالبة;تعليمات & كشف;ظهر;عرض;طبع;خبرني;كرر;كتب;أعطني;قل لي;شارك;فصح",
        rf"{_AR}(?:اكشف|أظهر|اعرض|اطبع|أخبرني|كرر|اكتب|أعطني|قل لي|شارك|أفصح)\s+{_AR_W}{{0,3}}?(?:عن\s+|ب)?"
        r"(?:(?:موجه|موجّه|برومبت|مطالبة)\s+النظام|تعليماتك(?:\s+(?:الأولية|السرية|الأصلية|الداخلية|المخفية|كاملة|بالكامل))|تعليمات\s+النظام\s+(?:الخاصة\s+بك|السرية|المخفية))",
        _REVEAL,
    ),
    _rule(
        "you_are_now",
        "أنت الآن;أنت من الآن;من الآن فصاعد & قيود;قيد;قواعد;رقابة;حدود;فلاتر",
        r"(?:أنت الآن|أنت من الآن|من الآن فصاعد(?:ا|اً|ًا)\s+أنت)\b[^.!?؟\n]{0,50}?\b(?:بلا|بدون|دون|لا تخضع لأي|غير مقيد|لا توجد)\s+(?:\w{1,10}\s+)?(?:ب)?(?:قيود|قيد|قواعد|رقابة|حدود|فلاتر)",
        _NOW,
    ),
    _rule("you_are_now", "أنت الآن;من الآن فصاعد", r"\bأنت الآن\b(?!\s+(?:في|على|مع|هنا)\b)|\bمن الآن فصاعد(?:ا|اً|ًا)\s+أنت\b", _PLAIN_NOW),
    # Hindi
    _rule(
        "ignore_instructions",
        "अनदेखा;नज;इग्नोर;उपेक्षा;भूल & निर्देश;आदेश;नियम;प्रॉम्प्ट;हिदायत;प्रतिबंध",
        rf"(?:(?:पिछले|पिछली|पहले|पूर्व|ऊपर|उपरोक्त|अपने|सिस्टम)\s+{_HI_W}{{0,4}}?(?:निर्देश|आदेश|नियम|प्रॉम्प्ट|हिदायत|प्रतिबंध){_HI}{{0,5}}|(?:सभी|सारे|सब)\s+{_HI_W}{{0,3}}?(?:निर्देश|प्रॉम्प्ट|आदेश){_HI}{{0,5}})\s+"
        rf"{_HI_W}{{0,2}}?(?:{_HI_IGNORE})",
        _IGNORE,
    ),
    _rule(
        "reveal_prompt",
        "प्रॉम्प्ट;निर्देश;सिस्टम संदेश & बता;दिखा;प्रकट;उजागर;दोहरा;लिख;प्रिंट;साझा",
        rf"(?:अपना|अपने|अपनी|आपका|आपके|तुम्हारा|तुम्हारे)\s+{_HI_W}{{0,2}}?(?:(?:सिस्टम|शुरुआती|गुप्त|छिपे|छिपा|आंतरिक|मूल|प्रारंभिक)\s+{_HI_W}{{0,1}}?(?:प्रॉम्प्ट|निर्देश|संदेश){_HI}{{0,4}}\s+{_HI_W}{{0,3}}?(?:बता|दिखा|प्रकट|उजागर|दोहरा|लिख|प्रिंट|साझा)"
        rf"|प्रॉम्प्ट\s+{_HI_W}{{0,2}}?(?:बता|दिखा|प्रकट|उजागर|दोहरा))",
        _REVEAL,
    ),
    _rule(
        "you_are_now",
        "अब & प्रतिबंध;नियम;सीमा;पाबंदी;सेंसर",
        rf"(?:अब से|अब)\s+(?:तुम|आप)\s+{_HI_W}{{0,8}}?(?:बिना\s+{_HI_W}{{0,3}}?(?:प्रतिबंध|नियम|सीमा|पाबंदी|सेंसर)|कोई\s+(?:प्रतिबंध|नियम|सीमा|पाबंदी){_HI}{{0,3}}\s+(?:लागू\s+)?नहीं)",
        _NOW,
    ),
    _rule("you_are_now", "अब से", r"अब से\s+(?:तुम|आप)\s", _PLAIN_NOW),
)  # fmt: skip

FOREIGN = Phrases(
    _RULES, NeedleGates(frozenset(needle for rule in _RULES for group in rule.needles for needle in group))
)
"""The rules, whose sums with those of `phrases` decide."""
