"""The objects of the sandbox org and their fields."""

from __future__ import annotations

from airflow_provider_salesforce_export.sandbox.schema import Field, SObject

STAGES = (
    "Prospecting",
    "Qualification",
    "Needs Analysis",
    "Proposal/Price Quote",
    "Negotiation/Review",
    "Closed Won",
    "Closed Lost",
)
INDUSTRIES = ("Agriculture", "Banking", "Chemicals", "Education", "Energy", "Retail", "Technology")
REGIONS = ("Africa", "Americas", "Asia", "Europe", "Oceania")
SEGMENTS = ("Enterprise", "Mid-Market", "Small Business")
SALUTATIONS = ("Mr.", "Ms.", "Mrs.", "Dr.", "Prof.")
SOURCES = ("Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other")


def _text(name: str, length: int = 80, *, nillable: bool = True, compound: str | None = None) -> Field:
    return Field(name, "string", length=length, nillable=nillable, compound=compound)


def _choice(name: str, values: tuple[str, ...], *, nillable: bool = True) -> Field:
    return Field(name, "picklist", length=255, nillable=nillable, picklist=values)


def _flag(name: str, *, writable: bool = True) -> Field:
    return Field(name, "boolean", nillable=False, default=False, writable=writable)


def _number(name: str, kind: str, *, scale: int = 2) -> Field:
    return Field(name, kind, precision=18, scale=scale)


def _reference(name: str, relationship: str, *targets: str, nillable: bool = True) -> Field:
    return Field(name, "reference", 18, nillable=nillable, relationship=relationship, reference_to=targets)


def _owner() -> Field:
    # A client may leave it out: the record then belongs to the user who creates it.
    return Field("OwnerId", "reference", 18, nillable=False, default="", relationship="Owner", reference_to=("User",))


def _read_only(name: str, kind: str, relationship: str | None = None) -> Field:
    targets = ("User",) if relationship else ()
    length = 18 if kind in {"id", "reference"} else 0
    return Field(name, kind, length, nillable=False, writable=False, relationship=relationship, reference_to=targets)


def _address(prefix: str) -> tuple[Field, ...]:
    name = f"{prefix}Address"
    keys = ("Street", "City", "State", "PostalCode", "Country")
    lengths = (255, 40, 80, 20, 80)
    parts = tuple(
        Field(f"{prefix}{key}", "textarea" if key == "Street" else "string", length=length, compound=name)
        for key, length in zip(keys, lengths, strict=True)
    )
    whole = Field(
        name,
        "address",
        writable=False,
        parts=tuple((key[0].lower() + key[1:], f"{prefix}{key}") for key in keys),
    )
    return (*parts, whole)


def _location(name: str) -> tuple[Field, ...]:
    whole = f"{name}__c"
    keys = ("latitude", "longitude")
    parts = {key: f"{name}__{key.capitalize()}__s" for key in keys}
    return (
        *(Field(part, "double", precision=18, scale=15, compound=whole) for part in parts.values()),
        Field(whole, "location", writable=False, parts=tuple(parts.items())),
    )


_ID = _read_only("Id", "id")
_DELETED = Field("IsDeleted", "boolean", nillable=False, writable=False, default=False)
_STAMPS = (
    _read_only("CreatedDate", "datetime"),
    _read_only("CreatedById", "reference", "CreatedBy"),
    _read_only("LastModifiedDate", "datetime"),
    _read_only("LastModifiedById", "reference", "LastModifiedBy"),
    _read_only("SystemModstamp", "datetime"),
)

USER = SObject(
    "User",
    "005",
    (
        _ID,
        _text("Username", nillable=False),
        _text("LastName", nillable=False),
        _text("FirstName", 40),
        Field("Name", "string", length=121, nillable=False, writable=False),
        _text("Alias", 8, nillable=False),
        Field("Email", "email", length=128, nillable=False),
        _flag("IsActive"),
        *_STAMPS,
    ),
)
ACCOUNT = SObject(
    "Account",
    "001",
    (
        _ID,
        _DELETED,
        _text("Name", 255, nillable=False),
        _choice("Type", ("Prospect", "Customer", "Partner", "Other")),
        _choice("Industry", INDUSTRIES),
        *_address("Billing"),
        Field("Phone", "phone", length=40),
        Field("Website", "url", length=255),
        _number("AnnualRevenue", "currency"),
        Field("NumberOfEmployees", "int", precision=8),
        Field("Opens__c", "time"),
        Field("Regions__c", "multipicklist", length=4_099, picklist=REGIONS),
        Field("Segment__c", "combobox", length=255, picklist=SEGMENTS),
        Field("TaxNumber__c", "encryptedstring", length=175),
        Field("Visits__c", "long", precision=18),
        *_location("Place"),
        Field("Description", "textarea", length=32_000),
        _owner(),
        *_STAMPS,
    ),
)
CONTACT = SObject(
    "Contact",
    "003",
    (
        _ID,
        _DELETED,
        _reference("AccountId", "Account", "Account"),
        _text("LastName", nillable=False),
        _text("FirstName", 40),
        _choice("Salutation", SALUTATIONS),
        Field("Name", "string", length=121, nillable=False, writable=False),
        *_address("Mailing"),
        Field("Phone", "phone", length=40),
        Field("MobilePhone", "phone", length=40),
        Field("Email", "email", length=80),
        _text("Title", 128),
        _text("Department"),
        _choice("LeadSource", SOURCES),
        Field("Birthdate", "date"),
        Field("Description", "textarea", length=32_000),
        _flag("DoNotCall"),
        _flag("HasOptedOutOfEmail"),
        _number("Satisfaction__c", "double", scale=3),
        _owner(),
        *_STAMPS,
    ),
)
OPPORTUNITY = SObject(
    "Opportunity",
    "006",
    (
        _ID,
        _DELETED,
        _reference("AccountId", "Account", "Account"),
        _text("Name", 120, nillable=False),
        Field("Description", "textarea", length=32_000),
        _choice("StageName", STAGES, nillable=False),
        _number("Amount", "currency"),
        _number("Probability", "percent", scale=0),
        Field("CloseDate", "date", nillable=False),
        _choice("LeadSource", SOURCES),
        _flag("IsClosed", writable=False),
        _flag("IsWon", writable=False),
        _owner(),
        *_STAMPS,
    ),
)
NOTE = SObject(
    "Note",
    "002",
    (
        _ID,
        _DELETED,
        _reference("ParentId", "Parent", "Account", "Contact", "Opportunity", nillable=False),
        _text("Title", 80, nillable=False),
        _flag("IsPrivate"),
        Field("Body", "textarea", length=32_000),
        _owner(),
        *_STAMPS,
    ),
)
ATTACHMENT = SObject(
    "Attachment",
    "00P",
    (
        _ID,
        _DELETED,
        _reference("ParentId", "Parent", "Account", "Contact", "Opportunity", nillable=False),
        _text("Name", 255, nillable=False),
        _flag("IsPrivate"),
        _text("ContentType", 120),
        Field("BodyLength", "int", precision=9, writable=False),
        Field("Body", "base64", nillable=False),
        Field("Description", "textarea", length=500),
        _owner(),
        *_STAMPS,
    ),
)
OBJECTS = (ACCOUNT, ATTACHMENT, CONTACT, NOTE, OPPORTUNITY, USER)
