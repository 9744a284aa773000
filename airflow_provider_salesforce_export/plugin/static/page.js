/**
 * The page "Salesforce" in Airflow's navigation: the connections, their keys, and the first page of what they export.
 *
 * Airflow loads this file as it is and renders globalThis.AirflowPlugin. React, the router and Chakra UI are those of
 * Airflow, so that the page looks as Airflow does, in light and in dark.
 */

const { React, ReactRouterDOM, ChakraUI } = globalThis;
const { createElement: h, useCallback, useEffect, useId, useRef, useState } = React;
const {
  Alert, Badge, Box, Button, Card, Clipboard, Code, Dialog, EmptyState, Flex, Heading, HStack, Portal, Progress,
  SimpleGrid, Spinner, Stack, Table, Tabs, Text, Tooltip, VisuallyHidden,
} = ChakraUI;

const API = new URL("./", import.meta.url); // this file lies beside the routes
const PREVIEW_ROWS = 10;
const STATES = {
  connected: { label: "Connected", color: "success" },
  needs_login: { label: "Needs login", color: "warning" },
  never: { label: "Never connected", color: "gray" },
  error: { label: "Error", color: "error" },
};

// --- Airflow's API server -----------------------------------------------------------------------------------------

async function request(path, options) {
  let response;
  try {
    response = await fetch(new URL(path, API), options);
  } catch {
    throw new Error("Airflow's API server does not answer. Try again when it is back.");
  }
  const body = await response.json().catch(() => null); // a proxy in between answers in HTML
  if (response.ok && body !== null) return body;
  throw new Error(explain(response, body));
}

function explain(response, body) {
  const said = [body?.message, body?.detail].find((text) => typeof text === "string" && text !== "");
  if (response.status === 401) return "Your session in Airflow has ended. Reload the page to log in to Airflow again.";
  if (response.status === 403) return `Airflow does not let you do this: ${said ?? "Forbidden"}. Ask an Airflow admin.`;
  const wait = response.headers.get("Retry-After");
  const retry = response.status === 429 && wait ? ` Try again in ${wait} seconds.` : "";
  return (said ?? `Airflow's API server answered ${response.status} ${response.statusText}.`) + retry;
}

const api = {
  connections: () => request("connections"),
  test: (connId) => request(`connections/${encodeURIComponent(connId)}/test`, { method: "POST" }),
  firstPage: (connId, type) =>
    request(`export/${encodeURIComponent(type)}?${new URLSearchParams({ page: 1, limit: PREVIEW_ROWS, conn_id: connId })}`),
  disconnect: (connId) =>
    request(`auth/?${new URLSearchParams({ conn_id: connId })}`, {
      method: "DELETE",
      headers: { "X-Requested-With": "salesforce-export" },
    }),
};

/** Leave for Salesforce's login, which ends at this page again, on the host that Airflow is configured for. */
function logIn(connId) {
  const back = window.location.pathname;
  window.location.assign(new URL(`auth/login?${new URLSearchParams({ conn_id: connId, forward_url: back })}`, API));
}

// --- Who may do what, and why not ---------------------------------------------------------------------------------

/** Return by action why it is not to be had, or nothing where it is. */
function refusals({ state, grant_type: grant, may }) {
  const needsRight = (right) => `You need the right to ${right} this connection in Airflow. Ask an Airflow admin.`;
  const byLogin = grant === "refresh_token" || grant === null; // null where the connection cannot be made sense of
  const withoutKey = byLogin && (state === "never" || state === "needs_login") && "Log in first.";
  return {
    login:
      (!byLogin && `The grant ${grant} needs no login: it obtains its own tokens.`) ||
      (!may.login && needsRight("edit")) ||
      (state === "connected" && "Connected already. To log in as another user, disconnect first."),
    test: (!may.test && needsRight("read")) || withoutKey,
    disconnect:
      (!may.disconnect && needsRight("delete")) || (state === "never" && "There is no key that could be deleted."),
    export: (!may.export && needsRight("read")) || withoutKey,
  };
}

// --- Small parts --------------------------------------------------------------------------------------------------

const number = (value) => value.toLocaleString("en");

function ago(date) {
  const seconds = (date - Date.now()) / 1000;
  const units = [["day", 86_400], ["hour", 3_600], ["minute", 60]];
  const [unit, size] = units.find(([, length]) => Math.abs(seconds) >= length) ?? ["second", 1];
  return new Intl.RelativeTimeFormat("en", { numeric: "auto" }).format(Math.trunc(seconds / size), unit);
}

function Time({ at }) {
  if (!at) return "–";
  const date = new Date(at);
  const exact = date.toLocaleString("en", { dateStyle: "medium", timeStyle: "long" });
  return h("time", { dateTime: at, title: exact }, ago(date));
}

/** A button that stays in the order of focus when it may not be pressed, so that everybody learns the reason. */
function Action({ label, refusal, busy, onClick, ...style }) {
  const id = useId();
  const off = Boolean(refusal) || busy;
  const button = h(
    Button,
    {
      size: "sm",
      variant: "outline",
      ...style,
      "aria-disabled": off || undefined,
      "aria-busy": busy || undefined,
      "aria-describedby": refusal ? id : undefined,
      onClick: off ? undefined : onClick,
    },
    busy && h(Spinner, { size: "xs" }),
    label,
  );
  if (!refusal) return button;
  return h(
    Tooltip.Root,
    { openDelay: 200, positioning: { placement: "top" } },
    h(Tooltip.Trigger, { asChild: true }, button),
    h(VisuallyHidden, { id }, refusal),
    h(Portal, null, h(Tooltip.Positioner, null, h(Tooltip.Content, { maxW: "xs" }, refusal))),
  );
}

function Notice({ status, title, children, ...more }) {
  return h(
    Alert.Root,
    { status, variant: "subtle", alignItems: "flex-start", ...more },
    h(Alert.Indicator),
    h(
      Alert.Content,
      { minW: 0 },
      title && h(Alert.Title, null, title),
      children && h(Alert.Description, { overflowWrap: "anywhere" }, children),
    ),
  );
}

function Fact({ name, children }) {
  return h(
    Box,
    { minW: 0 },
    h(Text, { as: "dt", color: "fg.muted", fontSize: "xs" }, name),
    h(Text, { as: "dd", fontSize: "sm", overflowWrap: "anywhere" }, children ?? "–"),
  );
}

function ApiUsage({ usage }) {
  const left = Math.max(usage.limit - usage.used, 0);
  const share = usage.limit > 0 ? Math.min(usage.used / usage.limit, 1) : 1;
  const color = share < 0.8 ? "success" : share < 0.95 ? "warning" : "error";
  return h(
    Progress.Root,
    { value: share * 100, size: "sm", colorPalette: color, maxW: "md" },
    h(
      Flex,
      { justify: "space-between", columnGap: 4, wrap: "wrap", mb: 1 },
      h(Progress.Label, { color: "fg.muted", fontSize: "xs" }, "API calls today"),
      h(Text, { fontSize: "xs" }, `${number(usage.used)} used, ${number(left)} left of ${number(usage.limit)}`),
    ),
    h(Progress.Track, null, h(Progress.Range)),
  );
}

const AFTER_TEST = h(Text, { as: "span", color: "fg.muted" }, "shown by Test");

// --- The first page of an object type -----------------------------------------------------------------------------

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

function Preview({ type, envelope, onClose }) {
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

// --- A connection -------------------------------------------------------------------------------------------------

function DisconnectDialog({ connId, open, onCancel, onConfirm }) {
  const cancel = useRef(null);
  return h(
    Dialog.Root,
    {
      open,
      role: "alertdialog",
      placement: "center",
      initialFocusEl: () => cancel.current,
      onOpenChange: (change) => !change.open && onCancel(),
    },
    h(
      Portal,
      null,
      h(Dialog.Backdrop),
      h(
        Dialog.Positioner,
        { px: 4 },
        h(
          Dialog.Content,
          null,
          h(Dialog.Header, null, h(Dialog.Title, { overflowWrap: "anywhere" }, `Disconnect ${connId}?`)),
          h(
            Dialog.Body,
            null,
            "The token is revoked at Salesforce and its key deleted. Exports with this connection, and with others that " +
              "share its key, fail until somebody logs in again.",
          ),
          h(
            Dialog.Footer,
            null,
            h(Button, { ref: cancel, variant: "outline", onClick: onCancel }, "Cancel"),
            h(Button, { colorPalette: "danger", onClick: onConfirm }, "Disconnect"),
          ),
        ),
      ),
    ),
  );
}

function Connection({ row, callbackUrl, reload }) {
  const [busy, setBusy] = useState(null);
  const [notice, setNotice] = useState(null);
  const [tested, setTested] = useState(null);
  const [preview, setPreview] = useState(null);
  const [asking, setAsking] = useState(false);
  const refusal = refusals(row);
  const state = STATES[row.state] ?? STATES.error;

  /** Do one thing at a time, and show how it ended. */
  const run = (name, action) => async () => {
    setBusy(name);
    setNotice(null);
    try {
      setNotice(await action());
    } catch (error) {
      setNotice({ status: "error", text: error.message });
    }
    setBusy(null);
  };

  const test = run("test", async () => {
    const result = await api.test(row.conn_id);
    setTested(result);
    await reload(); // a key that Salesforce refuses is marked by the test
    return { status: result.works ? "success" : "error", text: result.message };
  });
  const disconnect = run("disconnect", async () => {
    const result = await api.disconnect(row.conn_id);
    setTested(null);
    setPreview(null);
    await reload();
    return { status: result.revoked ? "success" : "warning", text: result.message };
  });
  const show = (type) =>
    run(type, async () => {
      setPreview(null);
      setPreview({ type, envelope: await api.firstPage(row.conn_id, type) });
      return null;
    });
  const action = (name, label, onClick, more) =>
    h(Action, { label, refusal: refusal[name], busy: busy === name, onClick: busy ? undefined : onClick, ...more });

  return h(
    Card.Root,
    { as: "section", "aria-label": row.conn_id, size: "sm" },
    h(
      Card.Header,
      null,
      h(
        Flex,
        { justify: "space-between", align: "center", gap: 3, wrap: "wrap" },
        h(
          HStack,
          { gap: 2, wrap: "wrap", minW: 0 },
          h(Heading, { as: "h2", size: "md", overflowWrap: "anywhere" }, row.conn_id),
          h(Badge, { colorPalette: state.color, variant: "solid" }, state.label),
          row.environment && h(Badge, { variant: "outline", colorPalette: "gray" }, row.environment),
        ),
        h(
          HStack,
          { gap: 2, wrap: "wrap" },
          action("login", "Log in", () => logIn(row.conn_id), {
            colorPalette: "brand",
            variant: refusal.login ? "outline" : "solid",
          }),
          action("test", "Test", test),
          action("disconnect", "Disconnect", () => setAsking(true)),
        ),
      ),
    ),
    h(
      Card.Body,
      null,
      h(
        Stack,
        { gap: 4 },
        row.error && h(Notice, { status: row.state === "error" ? "error" : "warning" }, row.error),
        h(
          SimpleGrid,
          { as: "dl", minChildWidth: "min(15rem, 100%)", gap: 3 },
          h(Fact, { name: "Org" }, tested ? tested.org_id : AFTER_TEST),
          h(Fact, { name: "Instance" }, row.instance_url),
          h(Fact, { name: "Login host" }, row.login_url),
          h(Fact, { name: "User" }, tested ? tested.user : AFTER_TEST),
          h(Fact, { name: "Connected by" }, row.connected_by),
          h(Fact, { name: "Token issued" }, h(Time, { at: row.issued_at })),
          h(Fact, { name: "Last renewed" }, h(Time, { at: row.updated_at })),
          h(Fact, { name: "Key (account, owner)" }, row.account_id && `${row.account_id}, ${row.owner}`),
          row.callback_url !== callbackUrl && h(Fact, { name: "Callback URL of its own" }, row.callback_url),
        ),
        tested?.api_usage && h(ApiUsage, { usage: tested.api_usage }),
        h(
          HStack,
          { gap: 2, wrap: "wrap", role: "group", "aria-label": "Show the first page" },
          h(Text, { fontSize: "sm", color: "fg.muted" }, "First page of"),
          row.object_types.map((type) =>
            h(Action, {
              key: type,
              label: type,
              refusal: refusal.export,
              busy: busy === type,
              onClick: busy ? undefined : show(type),
              size: "xs",
            }),
          ),
        ),
        // The region is always there, so that screen readers notice what comes into it; empty, it takes no room.
        h(
          Box,
          { "aria-live": "polite", mt: notice ? undefined : "-4" },
          notice && h(Notice, { status: notice.status }, notice.text),
          preview && h(VisuallyHidden, null, `The first page of ${preview.type} is shown.`),
        ),
        preview && h(Preview, { key: preview.type, ...preview, onClose: () => setPreview(null) }),
      ),
    ),
    h(DisconnectDialog, {
      connId: row.conn_id,
      open: asking,
      onCancel: () => setAsking(false),
      onConfirm: () => {
        setAsking(false);
        disconnect();
      },
    }),
  );
}

// --- The page -----------------------------------------------------------------------------------------------------

function CallbackUrl({ url }) {
  if (!url) {
    return h(
      Notice,
      { status: "warning", title: "No callback URL" },
      "A login needs an address to come back to: set base_url in section [api] of Airflow's configuration.",
    );
  }
  return h(
    Stack,
    { gap: 1 },
    h(Text, { fontSize: "sm", color: "fg.muted" }, "Callback URL, to be registered in the external client app in Salesforce"),
    h(
      Clipboard.Root,
      { value: url },
      h(
        HStack,
        { gap: 2, wrap: "wrap" },
        h(Code, { overflowWrap: "anywhere" }, url),
        h(
          Clipboard.Trigger,
          { asChild: true },
          h(
            Button,
            { size: "xs", variant: "outline", "aria-label": "Copy the callback URL" },
            h(Clipboard.Indicator, { copied: "Copied", "aria-live": "polite" }, "Copy"),
          ),
        ),
      ),
    ),
  );
}

function NoConnections() {
  return h(
    EmptyState.Root,
    null,
    h(
      EmptyState.Content,
      null,
      h(EmptyState.Title, null, "No Salesforce connection yet"),
      h(
        EmptyState.Description,
        { maxW: "lg", textAlign: "center" },
        "Add an Airflow connection of the type Salesforce Export, with the login domain, consumer key and consumer secret " +
          "of your external client app. Then log in here. Connections that you may not read are not shown.",
      ),
      h(
        Button,
        { asChild: true, colorPalette: "brand" },
        h(ReactRouterDOM.Link, { to: "/connections" }, "Open Airflow's connections"),
      ),
    ),
  );
}

/** Return how the login ended that led to this page, if one did. */
function useLoginResult() {
  const [parameters] = ReactRouterDOM.useSearchParams();
  const outcome = parameters.get("salesforce");
  useEffect(() => {
    if (outcome === null) return;
    // Past the router, which keeps the result: Airflow may mount this page anew, a reload shall not show it again.
    const address = new URL(window.location.href);
    ["salesforce", "message"].forEach((name) => address.searchParams.delete(name));
    window.history.replaceState(window.history.state, "", address);
  }, [outcome]);
  return outcome && { works: outcome === "connected", text: parameters.get("message") };
}

function LoginResult({ result }) {
  const alert = useRef(null);
  useEffect(() => alert.current?.focus(), []); // the browser comes from elsewhere: begin reading here
  return h(
    Notice,
    {
      ref: alert,
      tabIndex: -1,
      role: result.works ? "status" : "alert",
      status: result.works ? "success" : "error",
      title: result.works ? "Connected to Salesforce" : "The login at Salesforce failed",
    },
    result.text,
  );
}

function SalesforcePage() {
  const loginResult = useLoginResult();
  const [state, setState] = useState({ loading: true });
  const [acted, setActed] = useState(false); // then the login is past
  const load = useCallback(async () => {
    setState((before) => ({ ...before, loading: true }));
    try {
      setState({ answer: await api.connections() });
    } catch (error) {
      setState((before) => ({ answer: before.answer, error: error.message }));
    }
  }, []);
  useEffect(() => {
    load();
  }, [load]);
  const reload = () => {
    setActed(true);
    return load();
  };

  const { answer, error, loading } = state;
  return h(
    Box,
    { p: { base: 3, md: 6 }, maxW: "7xl", w: "full", mx: "auto", overflowY: "auto" },
    h(
      Stack,
      { gap: 5 },
      h(
        Flex,
        { justify: "space-between", align: "center", gap: 3, wrap: "wrap" },
        h(Heading, { as: "h1", size: "xl" }, "Salesforce"),
        h(Action, { label: "Reload", busy: loading, onClick: reload }),
      ),
      loginResult && !acted && h(LoginResult, { result: loginResult }),
      h(
        Box,
        { "aria-live": "polite", _empty: { mt: "-5" } },
        error && h(Notice, { status: "error", title: "The connections could not be read" }, error),
        loading && !answer && h(HStack, { color: "fg.muted" }, h(Spinner, { size: "sm" }), "Loading the connections …"),
      ),
      answer && h(CallbackUrl, { url: answer.callback_url }),
      answer?.connections.length === 0 && h(NoConnections),
      answer?.connections.map((row) => 
        h(Connection, { key: row.conn_id, row, callbackUrl: answer.callback_url, reload }),
      ),
    ),
  );
}

globalThis.AirflowPlugin = SalesforcePage;
