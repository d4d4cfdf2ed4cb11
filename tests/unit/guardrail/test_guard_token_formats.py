"""Keys and tokens of providers: each format is found with its exact span, and nothing that only begins like one."""

import pytest

from sluice_guardrail.domain.detectors import DETECTORS, find_personal_data
from sluice_guardrail.domain.token_formats import TOKEN_FORMATS

HEX, MIXED, CAPITALS, SMALL = "0a1b2c3d4e5f6789", "a1B2c3D4e5F6g7H8", "A1B2C3D4E5F6G7H8", "a1b2c3d4e5f6g7h8"
UUID = "0a1b2c3d-4e5f-6789-0a1b-2c3d4e5f6789"


def some(count: int, of: str = MIXED) -> str:
    return (of * (count // len(of) + 1))[:count]


# Put together here, so that nothing in this file looks like a key to others who look for keys.
TOKENS = [
    ("aws_bedrock_key", "ABSK", some(132)),
    ("aws_bedrock_key", "bedrock-api-key-", some(120) + "=="),
    ("google_api_key", "AQ.Ab", some(48)),
    ("google_client_secret", "GOCSPX-", some(28)),
    ("google_access_token", "ya29.", some(120)),
    ("azure_key", some(52), "JQQJ9" + some(27)),
    ("azure_client_secret", "a1B8Q~", some(34)),
    ("alibaba_key", "LTAI", some(20)),
    ("tencent_key", "AKID", some(32)),
    ("yandex_key", "AQVN", some(36)),
    ("digitalocean_token", "dop_v1_", some(64, HEX)),
    ("cloudflare_key", "v1.0-", some(24, HEX) + "-" + some(146, HEX)),
    ("heroku_key", "HRKU-", some(60)),
    ("netlify_token", "nfp_", some(36)),
    ("vercel_token", "vcp_", some(56)),
    ("fly_token", "fm2_", some(200)),
    ("render_key", "rnd_", some(32)),
    ("github_token", "ghs_", some(36)),
    ("gitlab_token", "glpat-", some(27) + ".01.a1b2c3d4e"),
    ("gitlab_token", "glrt-", some(20)),
    ("gitlab_token", "glcbt-", "64_" + some(20)),
    ("bitbucket_token", "ATBB", some(32)),
    ("atlassian_token", "ATATT3", some(180)),
    ("rubygems_key", "rubygems_", some(48, HEX)),
    ("cargo_token", "cio", some(32)),
    ("nuget_key", "oy2", some(43, SMALL)),
    ("docker_token", "dckr_oat_", some(32)),
    ("vault_token", "hvb.", some(90)),
    ("terraform_token", some(14), ".atlasv1." + some(64)),
    ("pulumi_token", "pul-", some(40, HEX)),
    ("doppler_token", "dp.st.", "prod." + some(43)),
    ("linear_key", "lin_oauth_", some(64, HEX)),
    ("figma_token", "figd_", some(40)),
    ("notion_token", "ntn_", some(46)),
    ("notion_token", "secret_", some(43)),
    ("airtable_token", "pat", some(14) + "." + some(64, HEX)),
    ("typeform_token", "tfp_", some(44)),
    ("hubspot_token", "pat-na1-", UUID),
    ("onepassword_token", "ops_eyJ", some(250)),
    ("databricks_token", "dapi", some(32, HEX) + "-2"),
    ("supabase_key", "sbp_", some(40, HEX)),
    ("supabase_key", "sb_secret_", some(31)),
    ("planetscale_token", "pscale_tkn_", some(43)),
    ("grafana_token", "glc_", some(80)),
    ("sentry_token", "sntrys_eyJ", some(100)),
    ("sentry_token", "sntryu_", some(64, HEX)),
    ("dynatrace_token", "dt0c01.", some(24, CAPITALS) + "." + some(64, CAPITALS)),
    ("posthog_key", "phx_", some(43)),
    ("stripe_key", "whsec_", some(32)),
    ("stripe_key", "sk_org_live_", some(30)),
    ("square_token", "sq0atp-", some(22)),
    ("access_token", "EAA", some(120)),
    ("mailgun_key", "key-", some(32, HEX)),
    ("mailchimp_key", some(32, HEX), "-us12"),
    ("brevo_key", "xkeysib-", some(64, HEX) + "-" + some(16)),
    ("resend_key", "re_", some(8) + "_" + some(24)),
    ("slack_token", "xoxc-", some(60, HEX)),
    ("slack_token", "xapp-", "1-" + some(11, CAPITALS) + "-0123456789012-" + some(64, HEX)),
    ("discord_webhook", "discord.com/api/webhooks/", "012345678901234567/" + some(68)),
    ("api_key", "sk-ant-api03-", some(95)),
    ("api_key", "csk-", some(48, SMALL)),
    ("api_key", "sk_", some(48, HEX)),
    ("api_key", "fw_", some(24)),
    ("api_key", "fc-", some(32, HEX)),
    ("api_key", "BSA", some(28)),
    ("api_key", "pa-", some(43)),
    ("api_key", "nvapi-", some(64)),
    ("api_key", "pcsk_", some(6) + "_" + some(63)),
    ("api_key", "wandb_v1_", some(77)),
    ("api_key", "jina_", some(60)),
    ("api_key", "tgp_v1_", some(43)),
]  # fmt: skip


def found(text: str) -> list[tuple[str, str]]:
    findings = find_personal_data(text, frozenset(DETECTORS), ("US", "GB", "DE"), lambda: None)
    return [(finding.kind, text[finding.start : finding.end]) for finding in findings]


@pytest.mark.parametrize(("kind", "begins", "goes_on"), TOKENS, ids=[f"{kind} {begins[:12]}" for kind, begins, _ in TOKENS])  # fmt: skip
def test_a_token_is_found_with_its_exact_span(kind: str, begins: str, goes_on: str) -> None:
    token = begins + goes_on
    for text in (f"use {token} for it", f'{{"x": "{token}"}}', f"X={token}\n"):
        assert found(text) == [(kind, token)]


def test_a_gate_is_open_for_every_token() -> None:
    # `find_personal_data` reads with a format only what its gate lets through.
    assert {kind for kind, _, _ in TOKENS} <= {token.kind for token in TOKEN_FORMATS}
    assert len({token.needle for token in TOKEN_FORMATS}) == len(TOKEN_FORMATS)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("Authorization: Basic " + "Ym9iOmh1bnRlcjIyaHVudGVy", "basic_credentials", "Ym9iOmh1bnRlcjIyaHVudGVy"),
        ("curl -u bob:hunter22 https://x.example", "password", "hunter22"),
        ("curl -s --user 'bob:hunter22' https://x.example", "password", "hunter22"),
        ("GET /c?sv=1&sp=r&" + "sig=" + some(43) + "%3D", "azure_sas", "sig=" + some(43) + "%3D"),
    ],
)
def test_what_stands_in_headers_commands_and_links_is_found(text: str, kind: str, value: str) -> None:
    assert found(text) == [(kind, value)]


def test_private_keys_of_other_programs_are_found() -> None:
    ssh2 = "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nP2/56wAA\n---- END SSH2 ENCRYPTED PRIVATE KEY ----"
    putty = "PuTTY-User-Key-File-3: ssh-ed25519\nPrivate-Lines: 1\nAAAA\nPrivate-MAC: " + some(64, HEX)
    for key in (ssh2, putty):
        assert found(f"a {key} b") == [("private_key", key)]


@pytest.mark.parametrize(
    "text",
    [
        "xoxo-love-you-very-much, hugs xoxo-1234567890",
        "the path pat-na1 of key-value pairs, re_compile_all and re_match-us-en",
        "Basic understanding of Basic information and basic authentication",
        'curl -u "$USER:$PASSWORD" https://x.example; curl -u bob https://x.example',
        "git checkout pul-request-of-somebody; fc-list; pa-per; fw_update_of_the_firmware",
        "sig=checked and dp.pt. and secret_of_the_old_house_on_the_hill_and_its_owners",
        "PRIVATE KEY blocks begin with ---- and end with ----",
        "EAAs are elected by all, EAA_members_of_the_board_who_are_not_in_office_at_the_time_of_the_vote",
    ],
)
def test_what_only_begins_like_a_token_is_left_alone(text: str) -> None:
    assert found(text) == []
