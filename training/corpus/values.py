"""Values that fill questions and calls: so many that they have to be copied, not remembered."""

from random import Random

_ONE_WORD = tuple(
    """Paris London Berlin Tokyo Madrid Rome Vienna Oslo Dublin Lisbon Athens Cairo Delhi Mumbai
    Beijing Shanghai Seoul Sydney Toronto Boston Chicago Denver Dallas Houston Seattle Miami Austin
    Prague Warsaw Budapest Helsinki Stockholm Copenhagen Amsterdam Brussels Zurich Geneva Munich
    Hamburg Cologne Milan Naples Venice Turin Porto Seville Valencia Lyon Nice Lima Bogota Quito
    Havana Nairobi Lagos Accra Dakar Tunis Hanoi Manila Jakarta Bangkok Singapore Osaka Kyoto
    Melbourne Auckland Wellington Vancouver Montreal Ottawa Calgary Portland Phoenix Memphis
    Nashville Orlando Atlanta Detroit Reykjavik Tallinn Riga Vilnius Sofia Bucharest Belgrade
    Zagreb Ljubljana Istanbul Ankara Tehran Baghdad Doha Dubai Karachi Lahore Dhaka""".split()
)
CITIES = (
    *_ONE_WORD, "New York", "San Francisco", "Los Angeles", "Buenos Aires", "Cape Town",
    "Mexico City", "Hong Kong", "Tel Aviv", "Rio de Janeiro", "New Delhi", "Las Vegas",
    "Salt Lake City",
)  # fmt: skip
NAMES = tuple(
    """Anna Ben Clara David Emma Felix Greta Henry Ida Jonas Karen Leo Maria Noah Olivia Paul Rosa
    Sam Tina Victor Wendy Zoe Alice Bob Carol Dan Eve Frank Grace Hugo Iris Jack Kate Liam Mia Nina
    Oscar Petra Quinn Rita Simon Tom Ursula Vera Will Yara Ahmed Chen Diego Elena Fatima Ivan Kofi
    Lena Miguel Nadia Omar Priya Raj Sofia Yuki Amir Bruno Celia""".split()
)
WORDS = tuple(
    """apple river stone garden window bread coffee winter summer music paper silver golden green
    yellow purple small large quick quiet strong bright early late fresh simple double market
    bridge castle forest island mountain valley ocean desert village station airport hotel
    restaurant museum library school office factory hospital theatre camera guitar piano violin
    drum bicycle train engine rocket planet comet tiger eagle rabbit turtle dolphin horse spider
    butterfly lemon cherry tomato potato onion pepper garlic carrot cheese butter sugar honey
    chocolate vanilla blanket pillow carpet mirror candle lantern hammer shovel ladder bucket
    basket bottle ticket letter parcel invoice contract report meeting project budget lesson
    history science chess football tennis running swimming travel cooking painting poetry novel
    story picture battery cable screen keyboard printer laptop phone headphones charger jacket
    shoes gloves scarf umbrella backpack wallet watch ring chair table lamp sofa shelf""".split()
)
COLORS = tuple("red blue green yellow black white orange purple pink brown grey".split())
SYMBOLS = tuple("AAPL MSFT GOOG AMZN TSLA NVDA META IBM INTC AMD ORCL SAP NKE DIS KO".split())
CURRENCIES = tuple("USD EUR GBP JPY CHF CAD AUD SEK NOK INR".split())
LANGUAGES = tuple(
    "German French Spanish Italian Dutch Polish Greek Turkish Japanese Korean".split()
)
DAYS = tuple("Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split())
MODELS = tuple(
    """llama3 llama3.2 llama3.1:8b qwen3 qwen3:4b qwen2.5 gemma3 gemma3:1b mistral phi4 deepseek-r1
    tinyllama codellama starcoder2 smollm2 granite3 llava nomic-embed-text all-minilm mixtral
    gpt-oss gpt-oss:20b qwen3-coder orca-mini vicuna falcon solar zephyr olmo2 command-r""".split()
)  # fmt: skip
KNOWN = (*CITIES, *NAMES, *WORDS, *COLORS, *SYMBOLS, *CURRENCIES, *LANGUAGES, *DAYS, *MODELS)
"""All values that exist; the others are made up."""
_SYLLABLES = tuple(
    """ba be bo ca ce co da de di do fa fe fi ga go ha he ka ke ki ko la le li lo lu ma me mi mo na
    ne ni no pa pe po ra re ri ro sa se si so ta te ti to tu va ve vi vo wa wi ya yo za ze zo bran
    dor fal gar hel jin kel lor mar nel por quen ral sten tor var wen xan zor th sh an en on er ar
    el in us is ax""".split()
)


def made_up(random: Random) -> str:
    """Return a word that does not exist."""
    return "".join(random.choice(_SYLLABLES) for _ in range(random.randint(2, 3)))


def city(random: Random) -> str:
    return made_up(random).capitalize() if random.random() < 0.25 else random.choice(CITIES)


def person(random: Random) -> str:
    first = made_up(random).capitalize() if random.random() < 0.25 else random.choice(NAMES)
    if random.random() < 0.2:
        return f"{first} {made_up(random).capitalize()}"
    return first


def word(random: Random) -> str:
    return made_up(random) if random.random() < 0.2 else random.choice(WORDS)


def phrase(random: Random) -> str:
    return " ".join(word(random) for _ in range(random.choice((1, 1, 2, 2, 2, 3))))


def color(random: Random) -> str:
    return random.choice(COLORS)


def symbol(random: Random) -> str:
    if random.random() < 0.5:
        return "".join(random.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(4))
    return random.choice(SYMBOLS)


def currency(random: Random) -> str:
    return random.choice(CURRENCIES)


def language(random: Random) -> str:
    return random.choice(LANGUAGES)


def day(random: Random) -> str:
    return random.choice(DAYS)


def model_name(random: Random) -> str:
    return made_up(random) if random.random() < 0.3 else random.choice(MODELS)


def whole(random: Random) -> int:
    return random.randint(0, 10 ** random.randint(1, 4))


def small(random: Random) -> int:
    return random.randint(1, 99)


def decimal(random: Random) -> float:
    return random.randint(1, 999) / 10 + 0.05 * random.choice((0, 1))


def date(random: Random) -> str:
    year, month, number = random.randint(1990, 2039), random.randint(1, 12), random.randint(1, 28)
    return f"{year}-{month:02}-{number:02}"


def clock(random: Random) -> str:
    return f"{random.randint(0, 23):02}:{random.choice((0, 5, 10, 15, 20, 30, 40, 45, 50)):02}"


def email(random: Random) -> str:
    ends = ("example.com", "example.org", "mail.com", f"{made_up(random)}.net")
    return f"{random.choice((made_up(random), random.choice(NAMES).lower()))}@{random.choice(ends)}"


def code(random: Random) -> str:
    letters = "".join(random.choice("ABCDEFGHKLMNPQRSTXZ") for _ in range(random.randint(1, 3)))
    return f"{letters}-{random.randint(10, 9999)}"


def path(random: Random) -> str:
    ends = ("txt", "md", "py", "json", "csv", "log")
    folders = "".join(f"{word(random)}/" for _ in range(random.randint(0, 2)))
    return f"{random.choice(('', '/', '/home/'))}{folders}{word(random)}.{random.choice(ends)}"


def url(random: Random) -> str:
    return f"https://{made_up(random)}.{random.choice(('com', 'org', 'net'))}/{word(random)}"
