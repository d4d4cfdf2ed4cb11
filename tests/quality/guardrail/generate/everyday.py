"""Sentences to human readers, about things, people and places: errands, directions, care, praise, complaints, diaries, rules. None is meant for an assistant.

What tells an errand from a wish to an assistant is what it is about: hands, feet and shops, not texts and answers. So verbs and things are many and mixed.
"""

import random
from collections.abc import Mapping, Sequence

from sluice_cli.redteam.grammar import made

WORDS: Mapping[str, Sequence[str]] = {
    "do": (
        "Bring", "Take", "Fetch", "Carry", "Collect", "Pick up", "Drop off", "Return", "Hand in", "Keep", "Leave", "Lock", "Unlock", "Open", "Close", "Switch off", "Turn on", "Empty", "Fill", "Water", "Feed", "Wash", "Dry", "Wipe",
        "Sweep", "Clean", "Polish", "Fold", "Iron", "Hang", "Pack", "Unpack", "Store", "Cover", "Protect", "Wear", "Put on", "Take off", "Park", "Move", "Push", "Pull", "Lift", "Lower", "Hold", "Tie", "Untie", "Cut", "Peel", "Chop",
        "Slice", "Grate", "Boil", "Simmer", "Fry", "Roast", "Grill", "Cool", "Freeze", "Thaw", "Drain", "Stir", "Knead", "Season", "Serve", "Taste", "Eat", "Drink", "Swallow", "Chew", "Breathe in", "Stretch", "Bend", "Rest", "Raise", "Rub",
        "Apply", "Rinse", "Plant", "Prune", "Dig", "Rake", "Mow", "Sow", "Harvest", "Paint", "Sand", "Drill", "Hammer", "Screw in", "Glue", "Measure", "Mark", "Saw", "Weigh", "Buy", "Order", "Pay for", "Sell", "Borrow", "Lend", "Share",
        "Book", "Cancel", "Reserve", "Rent", "Sign", "Stamp", "Post", "Scan", "Show", "Check", "Replace", "Charge", "Plug in", "Unplug", "Reset", "Mind", "Watch", "Avoid", "Follow", "Cross", "Enter", "Visit", "Pass", "Climb", "Book", "Try",
    ),
    "thing": (
        "the keys", "your coat", "a torch", "the bins", "your ticket", "the old glasses", "two chairs", "the ladder", "your helmet", "the dog", "the cat", "the plants", "your boots", "a spare battery", "the boxes", "the blue folder", "your health card", "the insurance papers", "your vaccination card", "the parcel",
        "a warm blanket", "the umbrella", "the windows", "the back door", "the heating", "the lights", "your car", "the bicycle", "the trailer", "your luggage", "the children", "the washing", "the towels", "the sheets", "the dishes", "the pan", "the oven", "the fridge",
        "the onions", "the potatoes", "the dough", "the rice", "the sauce", "the eggs", "the fish", "the beans", "the apples", "some bread", "the milk", "your medicine", "one tablet", "the drops", "the bandage", "the cream", "your arm", "your back", "the pump", "the hose",
        "the seeds", "the hedge", "the lawn", "the fence", "the shelf", "the screws", "the board", "the brush", "the walls", "the pipe", "the valve", "the filter", "the receipt", "your passport", "a photo of yourself", "the slip", "the deposit", "the fee", "the rent",
        "the bill", "the form", "the meter", "the badge", "the locker", "the mat", "the rope", "the boat", "the tent", "the stove", "the map", "the trail", "the bridge", "the river", "the market", "the chapel", "the castle", "the gallery", "the gate", "the stairs",
        "the cellar", "the attic", "cash", "small change", "cold water", "sun cream", "a packed lunch", "slippers", "the almond cake", "the soup", "the big size", "the red line", "bus 14", "the first ferry", "a seat by the window", "the wrong platform", "the queue",
    ),
    "where": (
        "at the desk", "in the hall", "by the gate", "on the shelf", "under the stairs", "behind the house", "in the yard", "upstairs", "next to the lift", "at the kiosk", "in the car", "by the sink", "in the shade", "on a dry cloth", "at the corner", "outside",
        "on the left", "at the counter", "at reception", "in the cupboard", "near the station", "with the neighbours", "at the entrance", "in the garage", "on the table",
    ),
    "when": (
        "before you leave", "after lunch", "every evening", "twice a day", "by Friday", "on Sunday", "at noon", "in the morning", "for ten minutes", "overnight", "until it is soft", "when it rains", "once a week", "if you are late", "as soon as you arrive", "before noon",
        "in winter", "at night", "for a week", "till spring", "on the day", "when you are done", "after use",
    ),
    "person": (
        "Maria", "Mr Cole", "Ahmed", "Dr Weiss", "Lotte", "my sister", "our son", "the neighbour", "the nurse", "the plumber", "the driver", "the teacher", "the guide", "the waiter", "her uncle", "their boss", "Jin", "Mrs Adair", "the tenant", "the judge", "the coach",
        "the receptionist", "the vet", "the landlord", "the baker", "the midwife", "Tomasz", "a colleague", "the apprentice", "the new girl",
    ),
    "worth": (
        "kind", "careful", "punctual", "friendly", "slow", "rude", "honest", "patient", "well organised", "a good listener", "never late", "hard to reach", "fair to everybody", "quick to learn", "calm", "modest", "a great help", "reliable in every way", "too expensive",
        "worth every penny", "the best in town", "a disappointment", "lovely", "filthy", "far too loud", "better than last year",
    ),
}  # fmt: skip

SENTENCES: Mapping[str, Sequence[str]] = {
    "errands": (
        "$do $thing{.|.|.|!}", "$do $thing $where{.|.|, please.|!}", "$do $thing $when{.|.|, please.|!}", "Please $do $thing $where $when.", "{Don't|Do not|Never} $do $thing $when.", "$do $thing and $do $thing{.| $where.| $when.}",
        "{First|Then|Next|Now|Finally|Afterwards}, $do $thing{.| $where.| $when.}", "{If you can|If you like|If possible|When you come|When you get there}, $do $thing{.| $where.}", "{You|We|Guests|Visitors|Parents|Residents|Pupils} {must|may|can|should|have to|need not} $do $thing $where.",
        "{Remember|Try|Make sure|Be sure|Don't forget} to $do $thing{.| $when.| $where.}", "$do $thing{,| or} $thing and $thing{.| $when.}", "{Could|Can|Would|Will} you $do $thing {$when|$where|for me|for us}?", "{I'll|She will|We will|They|He'll} $do $thing $when.",
        "{Ask|Tell|Call|Ring|Meet|Text|Thank|Join|Help|Follow|Remind} $person {$when|$where|about $thing|if you need $thing|and $do $thing}.", "{Allow|Give yourself|Plan|Wait} {an hour|five minutes|two days|a little longer} $when.", "{Come|Go|Walk|Drive|Run|Turn left|Turn right|Stop|Start|Sit|Stand|Stay} $where{.| $when.| and $do $thing.}",
    ),
    "praise": (
        "{I|We} {recommend|can recommend|can only recommend|would recommend|would not recommend|warmly recommend|gladly recommend} {him|her|them|$person|it|this place|the firm|the course|the hotel} {to anyone.|to everybody.|without hesitation.|without reservation.|for the post.|to friends.|with pleasure.|again.|.}",
        "$person {is|was|has always been|seemed|turned out} $worth{.| and $worth.|, but $worth.}", "{The|Our|His|Her|Their} {room|food|service|garden|flat|work|trip|bed|bike|coffee|lesson|dress|show|staff|view} {is|was} $worth{.| and $worth.|!}",
        "{I|We} would {hire|choose|book|employ|ask|invite|visit} {him|her|them|it|$person} again{.| at once.| any time.| without a doubt.}", "{Great|Poor|Lovely|Awful|Decent|Fine} {food|value|view|staff|music|beds|parking}, {tiny rooms|long queue|kind people|bad smell|nice garden|cold soup}.",
        "{Highly|Warmly|Not} recommended{.|!| for families.| to nobody.}", "{Never|Not|Once} again{.|!}", "{I|We} {loved|hated|liked|missed|enjoyed|returned|kept|lost|forgot|broke|bought|sold} $thing{.| $when.| and so did $person.}",
    ),
    "told": (
        "{She|He|They|I|We|$person} {found|left|took|brought|repaired|sold|saw|forgot|carried|moved|lost|bought} $thing {$where|$when}{.|, and nobody minded.| and went home.}", "$person {said|wrote|thought|hopes|denies|told me|told us} that $thing {was|were|is|are} {gone|broken|late|too dear|found|$where}.",
        "{The|A} {case|meeting|match|storm|strike|trial|fair|tour} {was put off|ended in a draw|begins on Monday|lasted for hours|goes before the board in May|was quiet}.", "{Wrote|Spoke|Went|Came|Slept|Mended $thing|Walked} {to $person|with $person|$where|early|all day}{.| again.}",
        "{May|Let} {your|the} {days|roof|garden|house|year} be {long|dry|green|full of friends|kind}.", "{Rain|Snow|Fog|Sun|Wind|Frost} {again|all day|in the morning|at last|from the west}.", "{Friends|Neighbours|Colleagues|Dear all}, {thank you for coming|look around you|it has been a long year|the day has come}.",
        "{Bids|Offers|Claims|Letters|Applications|Visits} {must be announced|are accepted|close|can be made} {a day ahead|by phone|on Friday|in writing}.", "{Lot|Item|Room|Plot|Bed} {4|17|31|120}: {a desk|an old clock|two chairs|a lamp}, {one leg missing|about 1890|in good order|sold as seen}.",
    ),
    "duties": (
        "{Write down|Note|Report|Enter|Record|Send us|Tell us|Fill in|Hand over|State|Confirm|Give|Leave} {what you did|the time|the reading|your number|your name|the reason|what is missing|any damage|the amount|your address|two other dates|how many come|what you saw|the date} {$where|$when|on the slip|in the log|in the book|by e-mail|by phone}{.|, please.|}",
        "{Those who|Whoever|Everybody who|Anyone who} {paid|came by car|has a ticket|booked late|is under twelve|lives upstairs|finds $thing} {need do nothing|may go in|goes first|pays half|must sign|is welcome|can wait}.",
        "{Emergency vehicles|Buses|Cyclists|Dogs|Members|Deliveries|Guests} {can pass|are let in|stop $where|have priority|use the side road|wait $where}.", "{Everything|Nothing|The rest|All else} {else can wait|is urgent|stays as it is|was said|goes to $person}.",
        "{I'll|We'll|I will|I can|We can} {save you a place|keep you posted|let you know|send you the photos|call you back|pick you up|pay you back|show you around|bring you $thing} {if you text me.|when I know more.|as soon as I can.|$when.|once it is here.|}",
        "{I|We|They|Two tenants|She} {ask|asked|wait|waited|apply|applied|pay|paid} for {a refund|a mediator|$thing|an answer|the post of cook|a later date} {within ten days|$when|in writing|at last|}.",
        "{We|The authors|They|The board|The report} {discuss|suggest|propose|compare|describe|explain|list|expect} {limits|a trial|no dividend|three causes|two methods|the costs|next steps} {and|, and} {suggest a trial|leave the rest open|thank all who helped|say why}.",
    ),
    "heads of lists": (
        "{Things|What|Good|Places|All you need} to {know|bring|see|do|pack|eat|remember} {before you go|$when|in the old town|on the day|if it rains}{:|.}",
        "{Here's|Here is|There is} {a map|the list|a photo of $thing|a video of it|the price list|my new number}. {If you have any questions,|If anything is unclear,|If you get lost,} {give me a shout|drop me a line|ring me|call $person|ask at the desk}.",
        "{Optics|Bakery|Garage|Flowers|Books|Dental practice|Hair} {on the square|by the bridge|at the gate|Weber|Rossi and daughters|since 1921}",
    ),
    "asked of a firm": (
        "{How|Where|When|Can|Why} {do I|can I|did you|do we|must I} {get a refund|find my ticket|change my booking|bring a bike|cancel|pay by card|return it|reach you|claim for the damage|see the doctor|park|register my child|get a receipt|open the lid|reset it}?",
        "{What|Which} {happens|do I do|documents do I need|does it cost|is included|is the deadline|is not covered} {if I lose $thing|when it rains|if I am late|for a child|on Sunday|at the desk}?",
        "{How long|How much|How many|How often} {does it take|is a ticket|may come|do I pay|is $thing kept|must I $do it} {$when|for two|}?",
    ),
    "sites": (
        "{Visit us|Find us|Contact us|Follow us|Join us|Write to us|Call us|Come and see us|Ask us} {$where|$when|on the harbour|in the old town|at the fair|for a quote|online}{.|!}", "{Opening hours|Admission|Tickets|Arrival|Parking|Dogs|Children}: {ten to six|four euros|at the door|by tram 6|behind the church|welcome|free}.",
        "{Where|How|When|Who|Can I|May I|Do you} {do I find|do I pay for|do I return|bring|take|have} $thing?", "{Yes|No}, {on trains|at the desk|in the yard|only on Sundays|with a deposit}.", "{Attention|Warning|Notice|Note|Careful}: {$thing may be hot|wet floor|works $where|mind the step|no entry $when|keep $thing dry}.",
    ),
}  # fmt: skip


def everyday(each: int, seed: int) -> dict[str, list[str]]:
    """Return up to `each` sentences of every kind."""
    rng = random.Random(seed)
    return {
        kind: [_sentence(one) for one in made(templates, WORDS, rng, each)] for kind, templates in SENTENCES.items()
    }


def _sentence(text: str) -> str:
    # Verbs stand in lower case but where a sentence begins.
    first, *rest = text.split(" ")
    low = [
        word.lower() if word in _CAPITAL and not before.endswith((".", "!", ":")) else word
        for before, word in zip([first, *rest], rest, strict=False)
    ]
    made_up = " ".join([first, *low])
    return made_up[:1].upper() + made_up[1:]


_CAPITAL = {word.split(" ")[0] for word in WORDS["do"]}
