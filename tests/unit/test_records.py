import msgspec

from airflow_provider_salesforce_export.salesforce.records import record_type


def test_a_record_holds_the_fields_asked_for_in_their_order():
    invoice = record_type("Invoice__c", ("Id", "Account__r.Owner.Alias", "Total__c", "Account__r.Name"))

    record = msgspec.json.decode(
        '{"attributes": {"type": "Invoice__c"}, "Total__c": 1.5, "Id": "a0X", "Account__r": {"attributes": {}, '
        '"Name": "Acme", "Owner": {"attributes": {}, "Alias": "ab"}}}',
        type=invoice,
    )

    assert msgspec.json.encode(record) == (
        b'{"Id":"a0X","Account__r":{"Owner":{"Alias":"ab"},"Name":"Acme"},"Total__c":1.5}'
    )


def test_a_relation_to_nothing_is_null():
    contact = record_type("Contact", ("Id", "Account.Name"))

    record = msgspec.json.decode('{"Id": "003", "Account": null}', type=contact)

    assert msgspec.json.encode(record) == b'{"Id":"003","Account":null}'


def test_a_path_may_begin_with_the_sobject_itself():
    assert record_type("Contact", ("contact.Owner.Alias",)).__struct_fields__ == ("Owner",)
