/** The first page of an object type, as a table and as JSON. */

import { number } from "./parts.js";

const { React, ChakraUI } = globalThis;
const { createElement: h } = React;
const { Button, Code, Flex, HStack, Table, Tabs, Text } = ChakraUI;

/** Return the columns of records, with relations spread out: Account.Name. */
function columnsOf(records) {
  const pathsOf = (value, prefix) =>
    Object.entries(value).flatMap(([name, inner]) =>
      inner !== null && typeof inner === "object" ? pathsOf(inner, `${prefix}${name}.`) : [prefix + name],
    );
  const paths = [...new Set(records.flatMap((record) => pathsOf(record, "")))];
  // A relation that is empty in one record has columns in others: they stand in its place.
  const spread = paths.map((path) => [path, paths.filter((other) => other.startsWith(`${path}.`))]);
  return [...new Set(spread.flatMap(([path, inner]) => (inner.length ? inner : [path])))];
}

const valueAt = (record, path) => path.split(".").reduce((value, name) => value?.[name], record);

function RecordTable({ records, label }) {
  const columns = columnsOf(records);
  const cell = (value) => (value === null || value === undefined ? "–" : String(value));
  return h(
    Table.ScrollArea,
    { tabIndex: 0, role: "region", "aria-label": label, borderWidth: "1px", borderRadius: "md", maxH: "26rem" },
    h(
      Table.Root,
      { size: "sm", stickyHeader: true },
      h(
        Table.Header,
        null,
        h(Table.Row, null, columns.map((name) => h(Table.ColumnHeader, { key: name, whiteSpace: "nowrap" }, name))),
      ),
      h(
        Table.Body,
        null,
        records.map((record, index) =>
          h(
            Table.Row,
            { key: record.Id ?? index },
            columns.map((name) => {
              const value = cell(valueAt(record, name));
              return h(Table.Cell, { key: name, title: value, maxW: "18rem", truncate: true }, value);
            }),
          ),
        ),
      ),
    ),
  );
}

export function Preview({ type, envelope, onClose }) {
  const { data: records, pagination } = envelope;
  const label = records.length ? `${type}: ${number(records.length)} of ${number(pagination.total)}` : `${type}: no records`;
  return h(
    Tabs.Root,
    { defaultValue: "table", size: "sm", lazyMount: true },
    h(
      Flex,
      { align: "center", justify: "space-between", gap: 2, wrap: "wrap", mb: 2 },
      h(Text, { fontWeight: "semibold", fontSize: "sm" }, label),
      h(
        HStack,
        { gap: 2 },
        h(
          Tabs.List,
          null,
          h(Tabs.Trigger, { value: "table" }, "Table"),
          h(Tabs.Trigger, { value: "json" }, "JSON"),
        ),
        h(Button, { size: "xs", variant: "ghost", onClick: onClose }, "Close"),
      ),
    ),
    h(Tabs.Content, { value: "table", p: 0 }, records.length > 0 && h(RecordTable, { records, label })),
    h(
      Tabs.Content,
      { value: "json", p: 0 },
      h(
        Code,
        { as: "pre", display: "block", p: 3, maxH: "26rem", overflow: "auto", tabIndex: 0, role: "region", "aria-label": label },
        JSON.stringify(envelope, null, 2),
      ),
    ),
  );
}
