"""The formats of keys and tokens that show by themselves what they are: a fixed prefix, letters of a known set, a known length.

Lengths are those of the issuers' documentation and of the keys that they hand out, with room where they change. Each pattern starts at the edge
of a word and has bounded repeats: no position is read twice.
"""

import re
from dataclasses import dataclass

_EDGE = r"(?<![A-Za-z0-9_-])"
_END = r"(?![A-Za-z0-9_-])"
_DIGIT = r"(?=[A-Za-z_-]{0,30}[0-9])"  # what a program makes at random has one soon; names and words seldom do
_UUID = r"[a-f0-9]{8}(?:-[a-f0-9]{4}){3}-[a-f0-9]{12}"


@dataclass(frozen=True, slots=True)
class TokenFormat:
    """A credential with a fixed part: `needle` must occur before `pattern` is tried; `gate`, in RE2's syntax, occurs wherever the pattern does."""

    kind: str
    needle: str
    pattern: re.Pattern[str]
    gate: str
    score: float = 0.95


def _format(kind: str, needle: str, body: str, score: float = 0.95, gate: str = "") -> TokenFormat:
    return TokenFormat(kind, needle, re.compile(f"{_EDGE}{body}"), gate or re.escape(needle), score)


TOKEN_FORMATS: tuple[TokenFormat, ...] = (
    # clouds
    *(_format("aws_access_key", prefix, f"{prefix}[A-Z2-7]{{16}}{_END}") for prefix in ("AKIA", "ASIA")),
    _format("aws_bedrock_key", "ABSK", r"ABSK[A-Za-z0-9+/]{100,300}={0,2}"),
    _format("aws_bedrock_key", "bedrock-api-key-", r"bedrock-api-key-[A-Za-z0-9+/]{40,1000}={0,2}"),
    _format("google_api_key", "AIza", f"AIza[A-Za-z0-9_-]{{35}}{_END}"),
    _format("google_api_key", "AQ.Ab", f"AQ\\.Ab[A-Za-z0-9_-]{{40,120}}{_END}"),
    _format("google_client_secret", "GOCSPX-", f"GOCSPX-[A-Za-z0-9_-]{{28}}{_END}"),
    _format("google_access_token", "ya29.", r"ya29\.[A-Za-z0-9_-]{30,1000}"),
    _format("azure_key", "AccountKey=", r"AccountKey=[A-Za-z0-9+/]{86}=="),
    _format("azure_key", "JQQJ9", f"[A-Za-z0-9]{{52}}JQQJ9[A-Za-z0-9]{{27}}{_END}"),
    _format("azure_client_secret", "Q~", r"[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}", gate="[0-9]Q~"),
    _format("azure_sas", "sig=", r"sig=[A-Za-z0-9%+/]{40,60}(?:%3D|%3d|=)", gate="[?&;]sig="),
    _format("alibaba_key", "LTAI", f"LTAI{_DIGIT}[A-Za-z0-9]{{17,21}}{_END}"),
    _format("tencent_key", "AKID", f"AKID{_DIGIT}[A-Za-z0-9]{{32}}{_END}"),
    _format("yandex_key", "AQVN", f"AQVN[A-Za-z0-9_-]{{35,38}}{_END}"),
    _format("digitalocean_token", "_v1_", r"do[opr]_v1_[a-f0-9]{64}", gate="do[opr]_v1_"),
    _format("cloudflare_key", "v1.0-", r"v1\.0-[a-f0-9]{24}-[a-f0-9]{146}", gate=r"v1\.0-[a-f0-9]{4}"),
    _format("heroku_key", "HRKU-", r"HRKU-[A-Za-z0-9_-]{32,100}"),
    _format("netlify_token", "nfp_", r"nfp_[A-Za-z0-9]{36,60}"),
    *(_format("vercel_token", f"vc{kind}_", f"vc{kind}_{_DIGIT}[A-Za-z0-9]{{40,90}}{_END}") for kind in "apirk"),
    *(_format("fly_token", prefix, f"{prefix}[A-Za-z0-9+/_-]{{100,1000}}") for prefix in ("fm1r_", "fm1a_", "fm2_")),
    _format("render_key", "rnd_", f"rnd_{_DIGIT}[A-Za-z0-9]{{28,40}}{_END}"),
    # code and its tools
    *(_format("github_token", f"gh{kind}_", f"gh{kind}_[A-Za-z0-9]{{36,255}}{_END}") for kind in "pousr"),
    _format("github_token", "github_pat_", f"github_pat_[A-Za-z0-9_]{{40,255}}{_END}"),
    _format("gitlab_token", "glpat-", r"glpat-[A-Za-z0-9_-]{20,255}(?:\.[a-z0-9]{2}\.[a-z0-9]{9})?"),
    *(
        _format("gitlab_token", f"gl{kind}-", f"gl{kind}-{_DIGIT}[A-Za-z0-9_-]{{20,255}}")
        for kind in ("dt", "rt", "rtr", "cbt", "ptt", "ft", "imt", "agent", "soat", "oas", "ffct")
    ),
    _format("bitbucket_token", "ATBB", f"ATBB{_DIGIT}[A-Za-z0-9]{{32}}{_END}"),
    *(_format("atlassian_token", prefix, f"{prefix}[A-Za-z0-9_=-]{{150,300}}") for prefix in ("ATATT3", "ATCTT3")),
    _format("npm_token", "npm_", f"npm_[A-Za-z0-9]{{36}}{_END}"),
    _format("pypi_token", "pypi-", "pypi-AgEI[A-Za-z0-9_-]{50,1000}"),
    _format("rubygems_key", "rubygems_", f"rubygems_[a-f0-9]{{48}}{_END}"),
    _format("cargo_token", "cio", f"cio{_DIGIT}[A-Za-z0-9]{{32}}{_END}", gate="cio[A-Za-z0-9]{5}"),
    _format("nuget_key", "oy2", f"oy2[a-z0-9]{{43}}{_END}"),
    _format("docker_token", "dckr_pat_", "dckr_pat_[A-Za-z0-9_-]{27}"),
    _format("docker_token", "dckr_oat_", "dckr_oat_[A-Za-z0-9_-]{27,40}"),
    *(_format("vault_token", f"hv{kind}.", rf"hv{kind}\.[A-Za-z0-9_-]{{24,300}}") for kind in "sbr"),
    _format("terraform_token", ".atlasv1.", r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,70}"),
    _format("pulumi_token", "pul-", f"pul-[a-f0-9]{{40}}{_END}", gate="pul-[a-f0-9]{5}"),
    _format("doppler_token", "dp.", r"dp\.(?:pt|st|ct|sa|scim|audit)\.(?:[a-z0-9_-]{2,35}\.)?[A-Za-z0-9]{40,44}", gate=r"dp\.[a-z]{2,5}\."),
    _format("linear_key", "lin_api_", f"lin_api_[A-Za-z0-9]{{40}}{_END}"),
    _format("linear_key", "lin_oauth_", f"lin_oauth_[a-f0-9]{{64}}{_END}"),
    _format("postman_key", "PMAK-", f"PMAK-[a-f0-9]{{24}}-[a-f0-9]{{34}}{_END}"),
    _format("figma_token", "figd_", r"figd_[A-Za-z0-9_-]{38,60}"),
    _format("notion_token", "ntn_", f"ntn_{_DIGIT}[A-Za-z0-9]{{40,60}}{_END}"),
    _format("notion_token", "secret_", f"secret_[A-Za-z0-9]{{43}}{_END}", gate="secret_[A-Za-z0-9]{5}"),
    _format("airtable_token", "pat", r"pat[A-Za-z0-9]{14}\.[a-f0-9]{64}", gate=r"\bpat[A-Za-z0-9]{5}"),
    _format("typeform_token", "tfp_", r"tfp_[A-Za-z0-9_=.-]{40,70}"),
    _format("hubspot_token", "pat-", f"pat-(?:na|eu|ap)[0-9]-{_UUID}", gate="pat-[a-z]{2}[0-9]-"),
    _format("onepassword_token", "ops_eyJ", r"ops_eyJ[A-Za-z0-9+/_-]{100,1000}={0,3}"),
    _format("age_key", "AGE-SECRET-KEY-1", f"AGE-SECRET-KEY-1[A-Z0-9]{{58}}{_END}"),
    # data and watching
    _format("databricks_token", "dapi", f"dapi[a-f0-9]{{32}}(?:-[0-9]{{1,2}})?{_END}"),
    _format("supabase_key", "sbp_", f"sbp_[a-f0-9]{{40}}{_END}"),
    _format("supabase_key", "sb_secret_", r"sb_secret_[A-Za-z0-9_-]{20,60}"),
    _format("planetscale_token", "pscale_", r"pscale_(?:tkn|pw|oauth)_[A-Za-z0-9_=.-]{32,64}"),
    _format("grafana_token", "glsa_", f"glsa_[A-Za-z0-9]{{32}}_[A-Fa-f0-9]{{8}}{_END}"),
    _format("grafana_token", "glc_", r"glc_[A-Za-z0-9+/]{32,400}={0,3}"),
    _format("newrelic_key", "NRAK-", f"NRAK-[A-Z0-9]{{27}}{_END}"),
    _format("sentry_token", "sntrys_eyJ", r"sntrys_eyJ[A-Za-z0-9+/=_-]{80,500}"),
    _format("sentry_token", "sntryu_", f"sntryu_[a-f0-9]{{64}}{_END}"),
    _format("dynatrace_token", "dt0", r"dt0[a-z][0-9]{2}\.[A-Z0-9]{24}\.[A-Z0-9]{64}", gate=r"dt0[a-z][0-9]{2}\."),
    _format("posthog_key", "phx_", r"phx_[A-Za-z0-9_-]{40,60}"),
    # payment, mail, messages
    *(
        _format("stripe_key", f"k_{mode}_", f"[rs]k_{mode}_[A-Za-z0-9]{{16,255}}{_END}")
        for mode in ("live", "test", "org_live", "org_test")
    ),
    _format("stripe_key", "whsec_", r"whsec_[A-Za-z0-9+/]{24,255}={0,2}"),
    _format("square_token", "sq0", r"sq0(?:atp|csp|idp)-[A-Za-z0-9_-]{22,43}"),
    _format("access_token", "EAA", f"EAA{_DIGIT}[A-Za-z0-9_-]{{57,400}}{_END}"),  # Meta and Square
    *(
        _format("shopify_token", f"shp{kind}_", f"shp{kind}_[A-Fa-f0-9]{{32}}{_END}")
        for kind in ("at", "ca", "pa", "ss")
    ),
    _format("sendgrid_key", "SG.", rf"SG\.[A-Za-z0-9_-]{{22}}\.[A-Za-z0-9_-]{{43}}{_END}"),
    _format("mailgun_key", "key-", f"key-[a-f0-9]{{32}}{_END}", gate="key-[a-f0-9]{5}"),
    _format("mailchimp_key", "-us", f"[a-f0-9]{{32}}-us[0-9]{{1,2}}{_END}", gate="[a-f0-9]-us[0-9]"),
    *(
        _format("brevo_key", prefix, f"{prefix}[a-f0-9]{{64}}-[A-Za-z0-9]{{16}}{_END}")
        for prefix in ("xkeysib-", "xsmtpsib-")
    ),
    _format("resend_key", "re_", f"re_{_DIGIT}[A-Za-z0-9]{{8}}_[A-Za-z0-9]{{20,30}}{_END}", gate="\\bre_[A-Za-z0-9]{5}"),
    _format("twilio_key", "SK", f"SK[0-9a-f]{{32}}{_END}", gate="SK[0-9a-f]{5}"),
    _format("telegram_token", ":AA", f"[0-9]{{8,10}}:AA[A-Za-z0-9_-]{{33}}{_END}"),
    _format("slack_token", "xox", r"xox[abcdeprs]-(?=[A-Za-z0-9%-]{0,60}[0-9])[A-Za-z0-9%-]{10,400}"),
    _format("slack_token", "xoxo-", r"xoxo-[0-9]{6,16}-[A-Za-z0-9-]{10,255}"),
    _format("slack_token", "xapp-", r"xapp-[0-9]-[A-Z0-9]{8,14}-[0-9]{8,16}-[a-f0-9]{32,80}"),
    _format("slack_webhook", "hooks.slack.com/services/", r"hooks\.slack\.com/services/T[A-Z0-9]{6,12}/B[A-Z0-9]{6,12}/[A-Za-z0-9]{20,30}"),
    _format("discord_webhook", "/api/webhooks/", r"(?:discord|discordapp)\.com/api/webhooks/[0-9]{17,20}/[A-Za-z0-9_-]{60,72}"),
    # models
    _format("api_key", "sk-", r"sk-(?=[A-Za-z0-9_-]{0,200}[0-9])[A-Za-z0-9_-]{20,400}", 0.9),
    _format("api_key", "csk-", f"csk-{_DIGIT}[A-Za-z0-9]{{40,60}}{_END}"),
    _format("api_key", "sk_", f"sk_[a-f0-9]{{48}}{_END}", gate="sk_[a-f0-9]{5}"),
    _format("api_key", "fw_", f"fw_{_DIGIT}[A-Za-z0-9]{{22,40}}{_END}", 0.9, gate="fw_[A-Za-z0-9]{5}"),
    _format("api_key", "fc-", f"fc-[a-f0-9]{{32}}{_END}", 0.9, gate="fc-[a-f0-9]{5}"),
    _format("api_key", "BSA", f"BSA{_DIGIT}[A-Za-z0-9_-]{{27,28}}{_END}", 0.9),
    _format("api_key", "pa-", f"pa-{_DIGIT}[A-Za-z0-9_-]{{43}}{_END}", 0.9, gate="pa-[A-Za-z0-9_-]{5}"),
    *(
        _format("api_key", prefix, f"{prefix}[A-Za-z0-9_-]{{32,120}}{_END}", 0.9)
        for prefix in (
            "gsk_", "xai-", "pplx-", "r8_", "tvly-", "lsv2_", "tgp_v1_", "pcsk_", "jina_", "nvapi-", "wandb_v1_", "api_org_",
        )
    ),
    _format("huggingface_token", "hf_", f"hf_[A-Za-z0-9]{{30,255}}{_END}"),
)  # fmt: skip
