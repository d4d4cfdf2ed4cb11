"""Says why a finding is one, where its detector says no more than its kind: a verdict explains itself without the text."""

from collections.abc import Mapping

from sluice_guardrail.domain.findings import Finding

_PERSONAL: Mapping[str, str] = {
    "email": "the shape of an e-mail address",
    "phone": "a number that a numbering plan has",
    "credit_card": "a card network's prefix and length, and the Luhn check digit is right",
    "iban": "the country's length, and the check digits are right (modulo 97)",
    "us_ssn": "a range of social security numbers that was issued",
    "us_itin": "a range of taxpayer numbers that was issued",
    "us_ein": "a prefix of employer numbers that is given out, after the number's name",
    "us_bank_routing": "the ABA check digit is right, after the number's name",
    "us_medicare": "the form of a Medicare Beneficiary Identifier",
    "uk_nhs": "the check digit is right (modulo 11), after the number's name",
    "uk_nino": "a prefix of national insurance numbers that is given out",
    "uk_utr": "the check digit is right (modulo 11), after the number's name",
    "uk_driving_licence": "the form of a driving licence, with a birthday in it",
    "in_aadhaar": "the Verhoeff check digit is right",
    "in_pan": "the form of a PAN, with the letter of a kind of holder",
    "in_gstin": "the check digit is right (Luhn in base 36)",
    "in_voter_id": "the check digit is right (Luhn), after the number's name",
    "in_upi": "a handle of a bank that takes part in UPI",
    "de_tax_id": "the check digit is right, after the number's name",
    "fr_nir": "the check digits are right (modulo 97)",
    "es_nif": "the check letter is right (modulo 23)",
    "it_fiscal_code": "the check letter is right",
    "nl_bsn": "passes the test of eleven, after the number's name",
    "pl_pesel": "a date and a right check digit, after the number's name",
    "be_national_number": "a date and right check digits (modulo 97)",
    "se_personal_number": "a date and a right check digit (Luhn)",
    "dk_cpr": "a date in it, after the number's name",
    "fi_hetu": "a date and a right check character",
    "pt_nif": "the check digit is right, after the number's name",
    "ie_pps": "the check letter is right, after the number's name",
    "at_social_security": "a date and a right check digit, after the number's name",
    "eu_vat": "the country's form of a VAT number, after the number's name",
    "passport": "eight or nine characters with four digits, after the word passport",
    "date_of_birth": "a date, after words such as born",
    "ip_address": "the shape of an IP address",
    "mac_address": "the shape of a MAC address",
    "crypto_address": "an address whose checksum is right",
    "person": "a pipeline of spaCy takes it for the name of a person",
}
_SECRETS: Mapping[str, str] = {
    "assigned_secret": "letters and digits that are assigned to a name such as password or API key",
    "basic_credentials": "a Basic header that holds a name and a password",
    "bearer_token": "stands after the word Bearer",
    "jwt": "a token whose header names an algorithm",
    "password": "the password of a command",
    "private_key": "begins as a private key does",
    "url_password": "the password in a URL",
}
_A_SECRET = "the form of a credential that a provider gives out"  # noqa: S105 - a sentence for people, no secret
_OF_KIND: Mapping[str, Mapping[str, str]] = {
    "pii": _PERSONAL,
    "injection": {
        "learned": "the trained readings take it for an attack",
        "chat_template": "marks of a chat template, which turns are made of",
        "claimed_authority": "claims or grants a right that nobody gave",
        "encoded_orders": "asks to decode orders and follow them",
        "exfiltration": "asks to send data away",
        "forget_everything": "an order to forget what was said before",
        "hidden_tag": "a tag that hides orders from readers",
        "ignore_instructions": "an order to ignore instructions",
        "kept_from_user": "asks to keep something from the user",
        "new_instructions": "says that other instructions hold from now on",
        "other_language": "an attacker's order in another language than English",
        "other_tools": "says how other tools are to be used",
        "markup_abroad": "markup that runs code or carries data away, behind words of a language that is not known here",
        "planted_markup": "an order to put markup that runs code or carries data away into an answer",
        "prefix_injection": "says how the answer has to begin",
        "pretend_to_be": "asks to pose as somebody without rules",
        "refusal_suppression": "forbids to refuse or to warn",
        "repeat_above": "asks to repeat what stands above",
        "restrictions_lifted": "says that restrictions are lifted",
        "reveal_prompt": "asks for the system prompt",
        "rules_void": "says that rules do not hold",
        "secrecy": "asks to keep the orders secret",
        "secret_argument": "asks to put a secret into an argument",
        "talk_as_argument": "asks to put the conversation into an argument",
        "training_data": "asks for data that the model was trained on, or to repeat a word without end",
        "two_answers": "asks for a second answer without rules",
        "unrestricted_persona": "a role without restrictions",
        "you_are_now": "an order to be something else from now on",
    },
    "output_filter": {
        "prompt_leak": "tells of the system prompt",
        "instruction_ignored": "announces that rules are ignored",
        "template_token": "a token of a chat template",
        "delimiter": "a delimiter with words of a prompt in it",
        "verbatim_prompt": "a long part of the system prompt, word for word or letter for letter",
        "paraphrased_prompt": "a part of the system prompt in other words",
        "canary": "a canary of the policy",
    },
}


def reason_of(finding: Finding) -> str:
    """Return why a finding is one: what its detector says, else what its kind means."""
    if finding.reason:
        return finding.reason
    if finding.category == "secret":
        return _SECRETS.get(finding.kind, _A_SECRET)
    return _OF_KIND.get(finding.category, {}).get(finding.kind, "")
