"""The tools of the corpus: what they are called, what they take, how one asks for them."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from training.corpus import values

Draw = Callable[[Random], object]


@dataclass(frozen=True, slots=True)
class Parameter:
    """An argument: one of several names, a JSON type, what is said of it, and how it is drawn."""

    names: tuple[str, ...]
    type: str
    says: str
    draw: Draw
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolKind:
    """A function as different programs would define it.

    `asks` use the arguments by their first name; those that an ask leaves out are optional.
    `result` draws what the function returns, by key, and `tells` says it.
    """

    names: tuple[str, ...]
    says: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    asks: tuple[str, ...]
    result: tuple[tuple[str, Draw], ...]
    tells: str


def _one_of(*choices: str) -> Draw:
    return lambda random: random.choice(choices)


def _enum(name: str, says: str, *choices: str) -> Parameter:
    return Parameter((name,), "string", says, _one_of(*choices), choices)


_P = Parameter
_CITY = _P(("city", "location", "place", "town"), "string", "Name of the city", values.city)
_QUERY = _P(("query", "q", "text", "keywords"), "string", "What to look for", values.phrase)
_A = _P(("a", "x", "first", "left"), "number", "First number", values.whole)
_B = _P(("b", "y", "second", "right"), "number", "Second number", values.whole)
_PATH = _P(("path", "file", "filename"), "string", "Path of the file", values.path)
_SKY = _one_of("sunny", "cloudy", "rainy", "windy", "foggy", "snowy", "clear", "stormy")
_DONE = (("status", _one_of("ok", "done", "success", "sent", "saved")),)

TOOLS = (
    ToolKind(
        ("get_weather", "weather", "get_current_weather", "current_weather", "fetch_weather"),
        ("Get the weather", "Current weather of a city", "Get the current weather for a city"),
        (
            _CITY,
            _enum("unit", "Unit of the temperature", "celsius", "fahrenheit"),
        ),
        (
            "What is the weather in {city}?", "How is the weather in {city}?",
            "What's the weather like in {city}?", "Weather in {city}", "Is it raining in {city}?",
            "Do I need an umbrella in {city}?", "Tell me the weather in {city} in {unit}.",
            "How warm is it in {city}, in {unit}?", "What is the temperature in {city}?",
            "Is it cold in {city} today?", "What is the weather today in {city}?",
        ),
        (("temperature", values.small), ("condition", _SKY)),
        "In {city} it is {condition} at {temperature} degrees.",
    ),
    ToolKind(
        ("get_time", "current_time", "get_current_time", "time_in", "clock"),
        ("Get the current time", "Tell the time in a city"),
        (_CITY,),
        (
            "What time is it in {city}?", "Tell me the time in {city}.",
            "How late is it in {city}?", "Current time in {city}?", "What is the time in {city}?",
        ),
        (("time", values.clock),),
        "It is {time} in {city}.",
    ),
    ToolKind(
        ("add", "add_numbers", "add_two_numbers", "sum", "plus"),
        ("Add two numbers", "Return the sum of two numbers"),
        (_A, _B),
        (
            "What is {a} plus {b}?", "Add {a} and {b}.", "What is {a} + {b}?", "Sum {a} and {b}.",
            "How much is {a} and {b} together?", "Calculate {a} + {b}.",
        ),
        (("result", values.whole),),
        "{a} plus {b} is {result}.",
    ),
    ToolKind(
        ("multiply", "multiply_numbers", "product", "times"),
        ("Multiply two numbers", "Return the product of two numbers"),
        (_A, _B),
        (
            "What is {a} times {b}?", "Multiply {a} by {b}.", "What is {a} * {b}?",
            "Calculate {a} times {b}.", "What is the product of {a} and {b}?",
        ),
        (("result", values.whole),),
        "{a} times {b} is {result}.",
    ),
    ToolKind(
        ("subtract", "subtract_two_numbers", "minus", "difference"),
        ("Subtract two numbers", "Return the difference of two numbers"),
        (_A, _B),
        (
            "What is {a} minus {b}?", "Subtract {b} from {a}.", "What is {a} - {b}?",
            "Calculate {a} minus {b}.",
        ),
        (("result", values.whole),),
        "{a} minus {b} is {result}.",
    ),
    ToolKind(
        ("get_stock_price", "stock_price", "quote", "get_quote"),
        ("Get the price of a stock", "Current price of a share"),
        (_P(("symbol", "ticker"), "string", "Symbol of the stock", values.symbol),),
        (
            "What is the price of {symbol}?", "How much is {symbol}?", "Stock price of {symbol}?",
            "What does a share of {symbol} cost?", "Get me the quote of {symbol}.",
        ),
        (("price", values.decimal),),
        "{symbol} is at {price}.",
    ),
    ToolKind(
        ("search", "web_search", "search_web", "find", "lookup"),
        ("Search the web", "Find pages about something", "Search for information"),
        (_QUERY, _P(("limit", "max_results"), "integer", "How many results", values.small)),
        (
            "Search for {query}.", "Look up {query}.", "Find something about {query}.",
            "Search the web for {query}.", "Find {limit} results for {query}.",
            "Search for {query}, at most {limit} results.", "What do you find about {query}?",
        ),
        (("title", values.phrase),),
        "I found: {title}.",
    ),
    ToolKind(
        ("send_email", "send_mail", "email", "mail"),
        ("Send an email", "Send a mail to somebody"),
        (
            _P(("to", "recipient", "address"), "string", "Address of the recipient", values.email),
            _P(("subject", "title"), "string", "Subject of the mail", values.phrase),
        ),
        (
            "Send an email to {to} with the subject {subject}.",
            "Write a mail to {to} about {subject}.", "Email {to} about {subject}.",
            "Mail {to}, subject {subject}.",
        ),
        _DONE,
        "The email to {to} was sent: {status}.",
    ),
    ToolKind(
        ("create_reminder", "remind", "add_reminder", "set_reminder"),
        ("Create a reminder", "Remind the user of something"),
        (
            _P(("text", "message", "title"), "string", "What to remember", values.phrase),
            _P(("time", "at", "when"), "string", "Time of day", values.clock),
        ),
        (
            "Remind me of {text} at {time}.", "Set a reminder for {text} at {time}.",
            "At {time}, remind me of {text}.", "I must not forget {text} at {time}.",
        ),
        _DONE,
        "The reminder for {time} is set: {status}.",
    ),
    ToolKind(
        ("set_light", "light", "switch_light", "set_lamp"),
        ("Set the light of a room", "Switch a light"),
        (
            _P(("room", "where"), "string", "Name of the room",
               _one_of("kitchen", "bedroom", "bathroom", "garage", "hall", "office", "cellar")),
            _P(("on", "enabled"), "boolean", "Whether the light is on", _one_of("on", "off")),
        ),
        (
            "Turn the light in the {room} {on}.", "Switch the {room} light {on}.",
            "Light {on} in the {room}, please.", "Turn {on} the light in the {room}.",
        ),
        _DONE,
        "The light in the {room} was set: {status}.",
    ),
    ToolKind(
        ("convert_currency", "convert", "exchange", "currency"),
        ("Convert an amount of money", "Convert between currencies"),
        (
            _P(("amount", "value"), "number", "Amount of money", values.whole),
            _P(("from", "source", "from_currency"), "string", "Currency to convert from",
               values.currency),
            _P(("to", "target", "to_currency"), "string", "Currency to convert to",
               values.currency),
        ),
        (
            "Convert {amount} {from} to {to}.", "How much is {amount} {from} in {to}?",
            "What are {amount} {from} in {to}?", "Exchange {amount} {from} for {to}.",
        ),
        (("result", values.decimal),),
        "{amount} {from} are {result} {to}.",
    ),
    ToolKind(
        ("translate", "translate_text", "translation"),
        ("Translate a text", "Translate text into a language"),
        (
            _P(("text", "input"), "string", "Text to translate", values.phrase),
            _P(("language", "target_language", "to"), "string", "Language of the translation",
               values.language),
        ),
        (
            "Translate {text} into {language}.", "How do you say {text} in {language}?",
            "What is {text} in {language}?", "{text} in {language}, please.",
        ),
        (("translation", values.phrase),),
        "In {language} it is: {translation}.",
    ),
    ToolKind(
        ("read_file", "open_file", "cat", "get_file"),
        ("Read a file", "Return the content of a file"),
        (_PATH,),
        (
            "Read the file {path}.", "What is in {path}?", "Show me {path}.", "Open {path}.",
            "Print the content of {path}.",
        ),
        (("content", values.phrase),),
        "{path} contains: {content}.",
    ),
    ToolKind(
        ("delete_file", "remove_file", "rm", "unlink"),
        ("Delete a file", "Remove a file from the disk"),
        (_PATH,),
        ("Delete {path}.", "Remove the file {path}.", "I do not need {path} any more."),
        _DONE,
        "{path} was deleted: {status}.",
    ),
    ToolKind(
        ("get_order", "order_status", "track_order", "lookup_order"),
        ("Get the status of an order", "Look up an order"),
        (_P(("order_id", "id", "number"), "string", "Number of the order", values.code),),
        (
            "Where is my order {order_id}?", "What is the status of order {order_id}?",
            "Track order {order_id}.", "Has {order_id} been sent?",
        ),
        (("status", _one_of("shipped", "delivered", "packed", "waiting", "cancelled")),),
        "Order {order_id} is {status}.",
    ),
    ToolKind(
        ("book_table", "reserve_table", "reservation", "book_restaurant"),
        ("Book a table in a restaurant", "Reserve a table"),
        (
            _P(("restaurant", "name"), "string", "Name of the restaurant", values.person),
            _P(("people", "guests", "persons"), "integer", "How many people", values.small),
            _P(("date", "day"), "string", "Date of the visit", values.date),
        ),
        (
            "Book a table at {restaurant} for {people} people on {date}.",
            "Reserve a table for {people} at {restaurant} on {date}.",
            "On {date} we are {people} people at {restaurant}, please reserve.",
            "Book a table for {people} at {restaurant}.",
        ),
        (("confirmation", values.code),),
        "Your table at {restaurant} is booked, confirmation {confirmation}.",
    ),
    ToolKind(
        ("play_music", "play", "play_song", "start_music"),
        ("Play music", "Play a song"),
        (_P(("title", "song", "name"), "string", "Title of the song", values.phrase),),
        ("Play {title}.", "Play the song {title}.", "I want to hear {title}.", "Put on {title}."),
        _DONE,
        "Now playing {title}: {status}.",
    ),
    ToolKind(
        ("set_alarm", "alarm", "wake_up", "set_timer_at"),
        ("Set an alarm", "Set an alarm clock"),
        (_P(("time", "at"), "string", "Time of the alarm", values.clock),),
        ("Wake me at {time}.", "Set an alarm for {time}.", "Alarm at {time}, please."),
        _DONE,
        "The alarm for {time} is set: {status}.",
    ),
    ToolKind(
        ("get_user", "find_user", "lookup_person", "get_contact"),
        ("Get the data of a person", "Look up a person"),
        (_P(("name", "user", "person"), "string", "Name of the person", values.person),),
        (
            "What is the email of {name}?", "Who is {name}?", "Look up {name}.",
            "Find the contact {name}.", "How do I reach {name}?",
        ),
        (("email", values.email),),
        "{name} has the address {email}.",
    ),
    ToolKind(
        ("run_command", "shell", "execute", "run"),
        ("Run a command", "Execute a shell command"),
        (_P(("command", "cmd"), "string", "Command to run", values.path),),
        ("Run {command}.", "Execute {command}.", "Start the command {command}."),
        (("output", values.phrase),),
        "The output is: {output}.",
    ),
    ToolKind(
        ("fetch_url", "fetch", "open_url", "get_page", "web_fetch"),
        ("Fetch a web page", "Return the text of a web page"),
        (_P(("url", "link", "address"), "string", "Address of the page", values.url),),
        ("Fetch {url}.", "Open {url}.", "What does {url} say?", "Summarise {url}."),
        (("text", values.phrase),),
        "The page says: {text}.",
    ),
    ToolKind(
        ("get_distance", "distance", "route", "travel_time"),
        ("Get the distance between two cities", "Measure the way between places"),
        (
            _P(("origin", "from", "start"), "string", "Where the way begins", values.city),
            _P(("destination", "to", "end"), "string", "Where the way ends", values.city),
        ),
        (
            "How far is it from {origin} to {destination}?",
            "What is the distance between {origin} and {destination}?",
            "How do I get from {origin} to {destination}?", "Distance {origin} to {destination}?",
        ),
        (("kilometers", values.whole),),
        "From {origin} to {destination} it is {kilometers} kilometers.",
    ),
    ToolKind(
        ("book_flight", "find_flight", "flights", "search_flights"),
        ("Find a flight", "Search flights between two cities"),
        (
            _P(("origin", "from", "departure"), "string", "City of departure", values.city),
            _P(("destination", "to", "arrival"), "string", "City of arrival", values.city),
            _P(("date", "day"), "string", "Date of the flight", values.date),
        ),
        (
            "Find a flight from {origin} to {destination} on {date}.",
            "I want to fly from {origin} to {destination} on {date}.",
            "Flights from {origin} to {destination}?",
            "On {date} I fly from {origin} to {destination}, find me a flight.",
        ),
        (("flight", values.code), ("price", values.whole)),
        "Flight {flight} costs {price}.",
    ),
    ToolKind(
        ("calculate", "calculator", "evaluate", "compute"),
        ("Calculate an expression", "Evaluate a mathematical expression"),
        (
            _P(("expression", "formula"), "string", "Expression to calculate",
               lambda random: f"{values.whole(random)} {random.choice('+-*/')} "
               f"{values.small(random)}"),
        ),
        ("Calculate {expression}.", "What is {expression}?", "Compute {expression}, please."),
        (("result", values.whole),),
        "{expression} is {result}.",
    ),
)  # fmt: skip
"""Hand-written kinds; `actions.py` makes up more."""
