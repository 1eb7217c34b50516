"""What people call the columns of a log of model calls, in several languages: letters and digits only, lower case."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

#: token-frame column -> names that logs give it
COLUMNS = {
    "charge_period_start": (
        "time", "timestamp", "ts", "createdat", "created", "starttime", "startedat", "start", "datetime", "requesttime",
        "eventtime", "loggedat", "occurredat", "calledat", "date", "day", "ds", "when", "t",
        "zeit", "zeitstempel", "zeitpunkt", "datum", "erstelltam", "horodatage", "heure", "dateheure", "jour", "fecha", "fechahora",
        "hora", "data", "dataora", "orario", "ora", "datahora", "tijd", "tijdstip", "datumtijd", "tid", "tidpunkt", "tidspunkt",
        "tidsstempel", "dato", "czas", "zaman", "tarih", "время", "дата", "日時", "日付", "時刻", "时间", "日期", "時間", "시간", "날짜", "일시", "시각",
        "processedtime", "createtime", "starteddatetime", "requestcreatedat", "createdtime", "requesttimestamp", "endtime",
        "usagedate", "starttimestamp", "eventtimestamp", "utctime", "timestamputc", "timeutc", "unixtime", "epoch", "timestampms", "linetime",
        "at", "loggedtime", "logtime", "receivedat", "requestedat", "calltime", "createdon", "fechayhora", "dataehora", "dataeora", "datumundzeit", "dateetheure",
        "datumentijd", "dataiczas", "datumuhrzeit", "datumiczas",
        "month", "monat", "mois", "mes", "mese", "maand", "period", "periode", "periodo", "billingmonth", "usagemonth", "billingperiod", "invoicemonth",
        "elapsed", "elapseds", "elapsedms", "elapsedsec", "elapsedseconds", "relativetime", "reltime", "secondssincestart", "offsetms", "offsets",
    ),
    "charge_period_end": ("endtime", "endedat", "end", "finishedat", "completedat", "ende", "fin", "fine"),
    "model": (
        "model", "modelname", "modelid", "deployment", "deploymentname", "responsemodel", "requestmodel", "engine", "llm",
        "llmmodel", "aimodel", "modell", "modellname", "modele", "modelo", "modello", "модель", "モデル", "模型", "모델",
        "modelpermaslug", "modelslug", "modelused", "usedmodel", "malli",
    ),
    "provider": ("provider", "vendor", "system", "modelprovider", "llmprovider", "anbieter", "fournisseur", "proveedor", "fornitore", "fornecedor"),
    "user_id": (
        "user", "userid", "username", "enduser", "enduserid", "email", "caller", "principal", "benutzer", "nutzer", "anwender",
        "utilisateur", "usuario", "utente", "gebruiker",
    ),
    "api_key_id": ("apikeyid", "keyid", "apikeyname", "keyname", "keyalias"),
    "prompt_id": ("promptid", "promptname", "template", "prompttemplate", "templateid", "templatename", "vorlage"),
    "session_id": ("sessionid", "session", "conversationid", "threadid", "chatid", "sitzung"),
    "request_id": ("requestid", "responseid", "callid", "completionid", "generationid", "traceid", "id", "anfrageid"),
    "service_tier": ("servicetier", "tier", "processingtier"),
    "sub_account_id": ("project", "projectid", "workspace", "workspaceid", "subscriptionid", "projekt", "projet", "proyecto", "progetto", "projeto"),
    "region": ("region", "awsregion", "location", "azureregion"),
    "billed_cost": (
        "cost", "totalcost", "costusd", "totalcostusd", "usd", "price", "spend", "amount", "responsecost", "costineur", "costeur",
        "costinusd", "kosten", "preis", "betrag", "cout", "montant", "prix", "coste", "costo", "importe", "precio", "custo", "prijs", "bedrag",
    ),
    "billing_currency": ("currency", "billingcurrency", "wahrung", "waehrung", "devise", "moneda", "valuta", "moeda"),
}  # fmt: skip
#: second column of a time, where day and clock stand apart
HOUR = (
    "hour", "hr", "hourofday", "stunde", "heure", "hora", "ora", "uur", "timme", "godzina", "saat", "час", "時", "시",
)  # fmt: skip
#: a day in three columns
YEAR = ("year", "yyyy", "jahr", "annee", "ano", "anno", "jaar", "rok", "ar", "yil", "год", "年", "연도", "년도", "년")
MONTH = ("month", "mm", "monat", "mois", "mes", "mese", "maand", "miesiac", "mesic", "manad", "ay", "месяц", "月", "월")
#: column that says what the number of a row counts, and the column of that number, in tables with a row per kind of token
KIND = (
    "tokentype", "type", "kind", "meter", "metric", "metricname", "usagetype", "tokenkind", "category", "typ", "art", "direction", "tokencategory",
    "tipo", "tipodetoken", "tipotoken", "genre", "soort", "rodzaj", "druh", "tur", "тип", "種類", "種別", "类型", "種類別", "유형", "종류",
)  # fmt: skip
NUMBER = (
    "tokens", "count", "quantity", "value", "amount", "tokencount", "usage", "numtokens", "anzahl", "menge", "usagequantity", "units", "n",
    "quantidade", "cantidad", "quantite", "nombre", "quantita", "numero", "aantal", "hoeveelheid", "ilosc", "liczba", "pocet", "antal", "adet",
    "количество", "数量", "トークン数", "令牌数", "수량", "개수",
)  # fmt: skip
CLOCK = (
    "time", "uhrzeit", "clock", "timeofday", "zeit", "heure", "hora", "ora", "orario", "tijd", "klockslag",
    "klokkeslett", "klokkeslaet", "kellonaika", "godzina", "cas", "saat", "время", "時刻", "时刻", "시각", "시간",
)  # fmt: skip
DAY = (
    "date", "day", "datum", "tag", "jour", "fecha", "dia", "giorno", "data", "dag", "dzien", "den", "pvm", "tarih",
    "gun", "дата", "день", "日", "日付", "日期", "일", "날짜", "일자",
)  # fmt: skip
TAGS = (
    "team", "teamname", "product", "feature", "environment", "env", "department", "app", "application", "service", "customer",
    "customerid", "tenant", "costcenter", "costcentre", "businessunit", "usecase", "abteilung", "kostenstelle", "produkt", "kunde",
    "equipe", "departement", "service", "produit", "client", "equipo", "departamento", "producto", "cliente", "squadra",
    "reparto", "prodotto", "produto", "afdeling", "klant",
)  # fmt: skip
#: meter -> names of its count
COUNTS = {
    "input": (
        "inputtokens", "prompttokens", "tokensin", "intokens", "inputtokencount", "prompttokencount", "tokensprompt", "tokensinput",
        "promptevalcount", "requnits", "requestunits", "numinputtokens", "numprompttokens", "nprompttokens", "ntokensin", "inputtoken", "prompttoken", "totalinputtokens", "contexttokens",
        "input", "prompt", "eingabe", "eingabetoken", "eingabetokens", "in", "eingang", "tokenseingabe", "entree", "jetonsentree", "tokensentree",
        "jetonsdentree", "tokensdentree", "entrada", "tokensentrada", "tokensdeentrada", "tokeningresso", "ingresso", "tokendiinput", "invoer", "invoertokens",
    ),
    "cache_read": (
        "cachereadtokens", "cachedtokens", "cachereadinputtokens", "cachedinputtokens", "cachedcontenttokencount", "tokenscached",
        "cachehittokens", "promptcachehittokens", "inputcachedtokens", "cachedprompttokens", "cacheread", "cached", "cache",
        "cachetokens", "ausdemcache", "zwischengespeichert", "tokensencache", "encache", "jetonscache", "tokenscache",
    ),
    "cache_write_5m": ("cachewritetokens", "cachecreationinputtokens", "cachecreationtokens", "cachewrite", "cachecreation"),
    "output": (
        "outputtokens", "completiontokens", "tokensout", "outtokens", "outputtokencount", "candidatestokencount", "tokenscompletion",
        "tokensoutput", "numoutputtokens", "numcompletiontokens", "ncompletiontokens", "generatedtokens", "responsetokens", "ntokensout",
        "resunits", "responseunits", "evalcount", "outputtoken", "completiontoken", "totaloutputtokens", "output", "completion", "ausgabe", "ausgabetoken", "ausgabetokens", "out", "ausgang",
        "tokensausgabe", "sortie", "jetonssortie", "tokenssortie", "jetonsdesortie", "tokensdesortie", "salida", "tokenssalida",
        "tokensdesalida", "uscita", "tokenuscita", "saida", "tokenssaida", "tokensdesaida", "uitvoer", "uitvoertokens",
    ),
}  # fmt: skip
#: meter -> parts of a name that tell a count whose whole name isn't known; the first that fits holds
STEMS = {
    "cache_write_5m": r"(cach|zwischen(?:ge)?sp).*(write|creat|schreib|ecri|escri|scritt)|(write|creat).*cach",
    "cache_read": r"cach|zwischen(?:ge)?sp|podrecz|onbellek|к[эе]ш|キャッシュ|缓存|快取|캐시",
    "input": r"input|prompt|uncach|fresh|eingabe|eingang|entree|entrada|ingresso|invoer|indata|inddata|inndata|wejsc|vstup|bemen|syote|girdi|вход|ввод|вхід|入力|输入|輸入|입력",
    "output": r"output|completion|generat|ausgabe|ausgang|sortie|salida|uscita|saida|uitvoer|utdata|uddata|wyjsc|vystup|kimen|tulos|c[iı]kt[iı]|выход|вывод|вихід|出力|输出|輸出|출력",
}
#: names of the input without what came from a cache
UNCACHED = r"(?:un|non?|not|without|excl|ohne|sans|sin|senza|nicht)[a-z]{0,9}?(?:cach|zwischen(?:ge)?sp)|fresh"
#: parts of a name that make a column of numbers look like a count of tokens
COUNTLIKE = r"token|jeton|cach|reasoning|thinking|audio"
#: reasoning counts, which every provider but xAI and Google has inside its output
REASONING = (
    "reasoningtokens",
    "thinkingtokens",
    "reasoning",
    "outputreasoningtokens",
    "thoughtstokencount",
    "thoughtstokens",
    "thoughttokens",
    "thoughts",
    "reasoningtokencount",
    "thinkingtokencount",
)
TOTALS = ("totaltokens", "tokenstotal", "totaltokencount", "total", "gesamt", "tokengesamt")
REQUESTS = (
    "requests", "calls", "numrequests", "nummodelrequests", "requestcount", "numcalls", "callcount", "nrequests", "anfragen",
    "aufrufe", "requetes", "appels", "solicitudes", "llamadas", "richieste", "chiamate", "aantal", "invocations",
    "requisicoes", "chamadas", "pedidos", "peticiones", "verzoeken", "aanroepen", "zapytania", "wywolania", "pozadavky", "anrop", "forfragningar",
    "istekler", "запросы", "вызовы", "リクエスト数", "呼び出し回数", "请求数", "調用次數", "调用次数", "요청수", "호출수",
)  # fmt: skip
#: beginning of a model's name -> who most likely bills it
MAKERS = {
    "gpt": "openai", "o1": "openai", "o3": "openai", "o4": "openai", "text-embedding": "openai", "chatgpt": "openai", "claude": "anthropic",
    "gemini": "vertex", "cohere": "oci", "grok": "xai", "deepseek": "deepseek", "mistral": "mistral", "magistral": "mistral",
    "codestral": "mistral", "ministral": "mistral", "anthropic.": "bedrock", "amazon.": "bedrock", "meta.": "bedrock",
    "us.": "bedrock", "eu.": "bedrock", "apac.": "bedrock", "global.": "bedrock",
}  # fmt: skip
#: counts named like this stand beside the input, not inside it
BESIDE = ("cachereadinputtokens", "cachecreationinputtokens")


def bare_name(name: str) -> str:
    """The last part of a name, letters and digits only, without accents.

    >>> bare_name("usage.Prompt_Tokens"), bare_name("Währung"), bare_name("Modèle")
    ('prompttokens', 'wahrung', 'modele')
    """
    plain = re.sub("[\u0300-\u036f]", "", unicodedata.normalize("NFKD", name.rpartition(".")[2]))
    return re.sub(r"[\W_]", "", unicodedata.normalize("NFC", plain).lower())


def find_name(names: Sequence[str], known: Sequence[str]) -> str | None:
    """The first of the names that is called one of the known ways, in the order of these."""
    return next((name for word in known for name in names if bare_name(name) == word), None)


def maker_of(model: str) -> str | None:
    """Who most likely bills a model of that name.

    >>> maker_of("claude-sonnet-5"), maker_of("eu.anthropic.claude-sonnet-5-v1:0"), maker_of("house-model")
    ('anthropic', 'bedrock', None)
    """
    name = model.lower().strip()
    return next((who for start, who in MAKERS.items() if name.startswith(start)), None)


def meter_of(word: str) -> str | None:
    """The meter that a kind of token is, by its name; None for totals and what isn't known.

    >>> meter_of("prompt"), meter_of("cached_input"), meter_of("uncached input"), meter_of("total"), meter_of("dream")
    ('input', 'cache_read', 'input', None, None)
    """
    said = bare_name(word)
    for meter, known in COUNTS.items():
        if said in known or f"{said}tokens" in known:
            return meter
    if said in REASONING:
        return "reasoning"
    if said in TOTALS:
        return None
    if re.search(UNCACHED, said):
        return "input"
    return next((meter for meter, stem in STEMS.items() if re.search(stem, said)), None)


def times_of(name: str) -> int:
    """How many tokens one is, where a name says that it counts thousands or millions.

    >>> times_of("Input tokens (K)"), times_of("tokens in Mio."), times_of("prompt_tokens")
    (1000, 1000000, 1)
    """
    if re.search(
        r"(?i)[(\[ _-](?:k|thousands?|tsd\.?|tausend|milliers|miles|migliaia)[)\]]?$|in[ _](?:k|thousands?)\b", name
    ):
        return 1000
    if re.search(
        r"(?i)[(\[ _-](?:m|mm|mio\.?|millions?|millionen|millones|milioni)[)\]]?$|in[ _](?:m|mio|millions?)\b", name
    ):
        return 1_000_000
    return 1
