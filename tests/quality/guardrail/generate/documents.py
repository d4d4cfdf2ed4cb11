"""Sentences of ordinary documents: letters, notices, answers about code, manuals. None is meant for an assistant."""

import random
from collections.abc import Mapping, Sequence

from sluice_cli.redteam.grammar import made

WORDS: Mapping[str, Sequence[str]] = {
    "name": ("Anna", "Mr Lee", "Priya", "Tom", "Dr Okafor", "team", "all", "Sofia", "customer", "Jonas", "Ms Brown", "Kenji", "Valued Member", "there"),
    "firm": ("Acme", "Stripe", "the Riverside Hotel", "Northwind", "our shop", "City Library", "Linear Air", "Brightbank", "GreenPower", "Lumen Dental", "Parcel One", "Figly", "Cloudbase", "TaxHelp"),
    "amount": ("$29.99", "$2,400.00", "€ 310", "£45.10", "$7", "1,250 USD", "$0.00", "$99 a month"),
    "date": ("1 March", "Friday", "12/04/2024", "next week", "Monday at 9 am", "the end of the month", "tomorrow", "15 January 2023", "Q3", "Thursday afternoon"),
    "doc": ("invoice", "report", "contract", "receipt", "draft", "slide deck", "statement", "form", "ticket", "agenda", "minutes", "budget", "proposal", "order", "photo", "application", "quote"),
    "item": ("subscription", "booking", "order", "account", "payment", "appointment", "membership", "delivery", "plan", "claim", "registration", "meeting", "trial", "refund", "workspace", "visit"),
    "var": ("line", "data", "df", "self.name", "result", "x", "items", "response", "row", "index", "my_list", "path", "count", "user_input", "f"),
    "func": ("strip", "append", "split", "read_csv", "open", "json.loads", "int", "range", "join", "reshape", "get", "sort", "format", "iloc", "encode", "close", "zip", "input"),
    "error": ("TypeError", "AttributeError", "KeyError", "IndexError", "ValueError", "NameError", "SyntaxError", "ImportError", "UnicodeDecodeError", "ZeroDivisionError"),
    "type": ("string", "list", "dictionary", "tuple", "integer", "float", "DataFrame", "numpy array", "generator", "file object", "bytes object", "set", "None"),
}  # fmt: skip

SENTENCES: Mapping[str, Sequence[str]] = {
    "letters": (
        "{Hi|Hello|Dear|Good morning|Hey} $name,",
        "{Thanks|Thank you} for {your $item|contacting $firm|the update|your patience|reaching out|choosing $firm|sending the $doc}{.|!}",
        "{Please|Kindly|Could you|Can you|Would you} {find the $doc attached|send me the $doc by $date|confirm the $item|let me know if $date works|review the $doc and sign it|forward this to $name|check the numbers in the $doc|call me back|update the $doc before $date}{.|?}",
        "{Please do not reply to this e-mail|Reply to this e-mail if you have questions|Do not share your password with anyone|Click the button below to confirm your $item|Click here to unsubscribe|View this $doc in your browser|Manage your preferences}.",
        "{If you have any questions|If this was not you|If you need help|Should you wish to cancel|In case of errors}, {contact our support|please reply|call us|visit our help centre|reset your password|dispute the charge}.",
        "{Your|The} $item {has been confirmed|was cancelled|is due on $date|of $amount was received|will renew on $date|expires $date|is ready|could not be processed|has shipped}.",
        "{We|I} {charged $amount to your card|have received your $doc|will be closed on $date|are happy to announce a new feature|updated our terms|hope this finds you well|look forward to meeting you|need two more days for the $doc|noticed a new sign-in}.",
        "{Are you|Is $name|Will you be} {free on $date|coming to the meeting|still interested in the $item|able to join us|available for a short call}?",
        "{Did you|Have you|When can you|Where did you|How did you|What did you} {receive the $doc|see my last message|send the payment|put the keys|like your stay|think of the $doc}?",
        "{What time is|Where is|Who is in charge of|How much is|What is the status of} {the $item|the meeting on $date|the $doc}?",
        "{Best|Kind|Warm} regards, $name", "{Sincerely|Cheers|Thanks|Yours}, {the team at $firm|$name}",
        "{Total|Amount due|Balance|Subtotal|Tax|Order number|Invoice date|Due date|Account|Receipt number}: {$amount|4711-22|$date|00931}",
        "{Learn|Read|See|Find out} {more|how it works|what's new} {about your $item|on our blog|in the help centre|below}.",
        "{Upgrade|Download the app|Sign up|Renew|Save 20%|Join us|Register|Book} {today|now|before $date} {and|to} {get $amount off|save time|keep your $item|see the full $doc}.",
        "{Bring|Remember to bring|Don't forget} your {passport|ticket|laptop|umbrella} {on $date|to the $item}.",
        "{Let's|We should|We need to} {discuss the $doc on $date|move the $item|invite $name|finish the $doc|talk about pricing}.",
        "{Note that|Remember that|Be aware that|Please note:} the {office is closed|price changes|$item ends|system is down for maintenance} {on $date|next week}.",
        "{Sent from|Unsubscribe from|You received this e-mail because of} {my phone|this list|your $item at $firm}.",
        "{Write|Add|Include} your {name|order number|address} {on the $doc|in the subject line|on the label} {so that we can find it|before you send it}.",
        "{Summarise|Prepare|Update|Translate|Print|Send} the $doc for {$name|the board|the client} {by $date|before the meeting}{, please|}.",
        "SUBJECT: {Your $item|$doc for $date|Re: $doc|Welcome to $firm|Action required: $item}", "EMAIL_FROM: {$firm|$name} <{info|no-reply|billing}@mail.example>",
    ),
    "heads of letters": (
        "{From|To|Cc|Reply-To|Sender|Bcc}: {info|no-reply|billing|support|office|j.lee|news|orders|service}@{mail|shop|firm|news|example|uni}.example",
        "{From|To|Cc|Von|An|De|Para}: $name {Lee|Rossi|Weber|Smith|Okafor|Tanaka} <{info|sofia|t.weber|hr|billing}@{mail|firm|example}.example>",
        "{Date|Sent|Received|Gesendet}: {Mon|Tue|Wed|Thu|Fri}, {3|14|27} {Jan|Feb|May|Oct} {2022|2024|2025} {09:14|17:02|11:45}",
        "{Subject|Betreff|Re|Fwd}: {Lunch on $date|your $doc|Your $item at $firm|Minutes of $date|$doc attached|Question about the $item|New $doc from $firm}",
        "On $date $name wrote:", "{Present|Attendees|Copies to|Signed}: $name, {Lee|Weber|Brown}, $name",
    ),
    "notes": (
        "{See|Meet|Call|Catch|Talk to} you {at noon|on $date|there|soon|at the station|after work|in the lobby|tonight}{.|!}",
        "{I|We} {can bring the salad|will be ten minutes late|left the key with $name|am on the train|have a dentist appointment on $date|miss you|could not find the shop|loved the cake|am running late|need a lift}.",
        "{The key is|Your parcel is|The dog is|Dinner is|The bikes are} {under the mat|at the neighbour's|in the fridge|behind the shed|with $name}.",
        "{Happy birthday|Good luck on $date|Safe travels|Enjoy the weekend|Get well soon|Congratulations|Well done|Sleep well}, $name{.|!}",
        "{Still on|Are we on|Is it still good|Works for me} for {tonight|$date|lunch|the film}{?|.}",
        "{Love|Hugs|Take care|Speak soon|Talk later|Bye for now}, $name",
    ),
    "first person": (
        "I {am applying for|am writing about|would like to apply for} the {post|position|job} of {teacher|driver|clerk|engineer|cook|accountant}{.| at $firm.| that you advertised.}",
        "I have {worked|been} {at $firm|as a teacher|in sales|with children|in this trade} {for six years|since 2015|until last year}{.| and enjoyed it.}",
        "I {would|will|might|could} {not|never|definitely|gladly} {buy|book|order|use|recommend|visit|stay at|choose} {it|them|this hotel|$firm|that airline|this phone} again{.|!}",
        "{My|Our} {experience|flight|room|order|order of $date|phone|washing machine|landlord|doctor} {was great|was late|was dirty|never arrived|broke after two months|said to wait|is very kind}.",
        "I {think|believe|feel|found|thought} {the battery lasts long|the food was cold|they are overpriced|the staff were kind|it fits well|the screen is too dark}.",
        "{My|Her|His} {references|documents|salary wishes|grades|certificates} {are attached|can be sent on request|are below}.",
    ),
    "records": (
        "The {patient|child|mother|resident} {was admitted with|complained of|was seen for|has a history of} {chest pain|fever|a broken wrist|asthma|migraine}{.| on $date.}",
        "{Continue|Start|Stop|Reduce|Increase} {aspirin|ibuprofen|insulin|the antibiotic|metformin} {75 mg daily|for ten days|at night|until review|as tolerated}.",
        "{The tenant|The buyer|The seller|Either party|The contractor|The employee} {shall|must|may|agrees to} {pay the rent on the first day of the month|give notice of three months|keep the roof in repair|return all keys|bear the costs|insure the goods}.",
        "{User|Customer|Caller|Tester} {cannot log in|reports a crash|sees error 403|lost the $doc|wants a refund|asks for an update} {after the update|on the start page|since $date|in the app}.",
        "{Expected|Actual|Observed|Severity|Root cause|Resolution|Workaround}: {the home page opens|nothing happens|high|a missing index|cache cleared|restart the service|the list is empty}.",
        "{We|Participants|Subjects|The authors} {study|learned|measured|compared|report|surveyed} {the effect of sleep|word lists|blood pressure|two methods|40 adults|prices in five towns}{.| over two years.}",
        "{Your branch is|The tree is|Everything is|The server is|All tests are} {up to date|clean|running|green|listening on port 8080}{.| with 'origin/main'.}",
        "{You have sent|There were|The client made} too many {requests|attempts|connections}{.|; wait 20 seconds and try again.| for today.}",
        "{Please|} {attach a log|reproduce it with the latest build|rebase before merging|add a test|assign this to $name|close as a duplicate}{.|, thanks.}",
    ),
    "answers about code": (
        "{You|You'll|You will} {need to|have to|should|can|must|might want to} {call|use|import|pass|change|replace|remove|check|convert} `$func` {on|with|instead of|before|to} `$var`{.| first.|, not on the file.|:}",
        "{Use|Try|Change|Replace|Remove|Call|Add|Move|Put|Convert|Wrap|Initialise|Import|Install|Rename|Assign} {`$func`|`$var`|the $type|the loop|the brackets|this line|the quotes|the return} {instead|to a $type|outside the loop|with `$func`|before the call|in a try block|like this|as follows}{.|:}",
        "{The|Your} {problem|error|issue|bug} {is|comes from|lies in} {that |}{the fact that |}`$var` is a $type{,| and} {not a $type|which has no `$func`|so `$func` fails|and cannot be indexed}.",
        "{Here is|Here's|This is} {a|the|your} {working|corrected|complete|simple|fixed} {example|code|version|solution|function}{:|.| that works for me.}",
        "{In your code|In this case|In Python 3|In your loop|Then|So|Instead}, {`$func` returns a $type|you overwrite `$var`|you are calling `$func` on a $type|`$var` is never set|the index starts at 0|you shadow the built-in `$func`}.",
        "{It|That|This} {should|will|would} {work|give|print|return|raise} {a $type|$error|the same|as expected|what you want}.",
        "{Why|What|How|Where} {do you|does it|are you|is} {use `$func` here|print `$var`|define `$var`|the full traceback|happen when you run it}?",
        "{You get|I get|It raises|That gives} {a|an|} {$error|the error|this output} {because|since|when} {`$var` is None|the $type is empty|the file is closed|the key does not exist|you divide by zero}.",
        "{Make sure|Ensure|Check|Verify|Note|Remember} that {`$var` is a $type|you close the file|the path exists|the package is installed|indentation is right|you have the latest version|`$func` is called once}.",
        "{See|Read|Check|Have a look at} {the documentation|this answer|the docs for `$func`|the manual|PEP 8} {for details|first|here}.",
        "{Hope|I hope} {this|it} {helps|works|is clear}{.|!}", "{edit|update|EDIT}: {as $name said|thanks to $name|fixed a typo}, {use `$func`|`$var` must be a $type}.",
        "$error: '$type' object has no attribute '$func'", "$var = $func($var)", "for $var in $func($var):", "    print($func($var))", "import {os|re|json|numpy as np|pandas as pd|sys|csv|requests|datetime}", "def {test|main|run|parse}($var):",
        "    return $var.$func()", "if $var is not None:", "    with open($var) as f:", "    $var.$func(x)  # {add|remove|fix|use} $var",
        "# {use|add|include|put|write|print|return|compute|convert} the {$type|result|header|values} {here|in the loop|as $type}",
        "{Add|Include|Put|Use|Insert} the {following|missing|next} {line|code|import|lines|snippet} {at the top|in your function|before the loop|to your file|in settings.py|after the import}:",
        "{Save|Run|Execute|Copy} {it|this|the code|the script} {and|then} {run it|see|check the output|try again}.",
        "{Here|Below} {is|are} the {code|lines|output} {I used|that works|of my test}:",
    ),
    "manuals": (
        "{Turn|Press|Remove|Insert|Open|Connect|Hold|Rinse|Tighten|Fold|Unplug} the {lid|power button|battery|cable|valve|filter|screw|handle|paper} {for five seconds|before cleaning|with a soft cloth|until it clicks|to reset the device}.",
        "{Do not|Never} {open the case|use near water|leave children alone with it|exceed the dose|ignore the warning light|mix with bleach|drive after taking it|bypass the safety switch}.",
        "{Run|Install|Configure|Set|Start|Restart|Deploy|Build|Clone} {the service|the package|`make install`|the variable|the server|the repository} {with|as|before|after|on} {root|default settings|the migration|port 8080|an upgrade|the following options}.",
        "{Returns|Return|Raises|Raise|Yield|Compute|Parse|Write|Read|Check|Convert} {a|the} {$type|value|file|key|number of rows} {of the request|if it is missing|for each item|as $type|on error}.",
        "{The|This} {guide|chapter|page|section|report|study} {explains|describes|shows|covers|summarises} {how to install it|the results of $date|the main features|common errors|what changed}.",
        "{Preheat|Bake|Mix|Chop|Serve|Add|Stir|Pour} {the oven to 180 degrees|the flour and butter|two eggs|for 20 minutes|with rice|until golden|a pinch of salt}.",
        "{Revenue|Sales|Costs|Attendance|Output|The price} {rose|fell|was flat|grew} {by 4%|to $amount|in $date|against last year}{.| and should improve.}",
        "{He|She|They|The company|The city|The album} {was founded in 1921|moved to Berlin|won the cup|released a single|was born in Leeds|has 12,000 members|opened in $date|reached number four}.",
        "{Employees|Guests|Students|Members|Applicants|Drivers} {must|may|should|shall} {wear a badge|park behind the building|submit the $doc by $date|report errors|follow the instructions of staff|keep receipts}.",
        "{Q|FAQ}: {How do I|Can I|Where do I|When will I} {return an item|cancel my $item|change my address|get a refund|track my parcel|update my card}?",
        "{Step 1|2.|3)|First}: {open the settings|choose your plan|enter your address|scan the code|create an account|select a date} {and press Next|to continue|in the app|}.",
        "| {Year|Name|City|Team|Product|Country} | {Total|Points|Price|Rank|Population} | {Notes|Date|Result|Change} |",
        "| {2001|1998|Alice|Berlin|Ajax|France} | {12|3,400|$amount|1st|75.4%} | {-|$date|Won|+2%} |",
    ),
}  # fmt: skip


def sentences(each: int, seed: int) -> dict[str, list[str]]:
    """Return up to `each` sentences of every kind of document."""
    rng = random.Random(seed)
    return {kind: made(templates, WORDS, rng, each) for kind, templates in SENTENCES.items()}
