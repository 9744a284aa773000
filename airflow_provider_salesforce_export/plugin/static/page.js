/**
 * The page "Salesforce" in Airflow's navigation: the connections, their keys, and the first page of what they export.
 *
 * Airflow loads this file as it is and renders globalThis.AirflowPlugin. React, the router and Chakra UI are those of
 * Airflow, so that the page looks as Airflow does, in light and in dark.
 */

import { api } from "./api.js";
import { Connection } from "./connection.js";
import { Action, Notice } from "./parts.js";

const { React, ReactRouterDOM, ChakraUI } = globalThis;
const { createElement: h, useCallback, useEffect, useRef, useState } = React;
const { Box, Button, Clipboard, Code, EmptyState, Flex, Heading, HStack, Spinner, Stack, Text } = ChakraUI;

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

function NotShown({ connId }) {
  return h(
    Notice,
    { status: "warning", title: `The connection ${connId} is not shown` },
    "There is none of that name that leads to Salesforce, or you may not read it.",
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
  const [parameters] = ReactRouterDOM.useSearchParams();
  const named = parameters.get("conn_id"); // by the link of a task
  const [state, setState] = useState({ loading: true });
  const [acted, setActed] = useState(false); // then the login is past
  const load = useCallback(async () => {
    setState((before) => ({ ...before, loading: true }));
    try {
      setState({ answer: await api.connections(named) });
    } catch (error) {
      setState((before) => ({ answer: before.answer, error: error.message }));
    }
  }, [named]);
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
      answer && named && !answer.connections.some((row) => row.conn_id === named) && h(NotShown, { connId: named }),
      answer?.connections.length === 0 && h(NoConnections),
      answer?.connections.map((row) =>
        h(Connection, {
          key: row.conn_id,
          row,
          isNamed: row.conn_id === named,
          callbackUrl: answer.callback_url,
          load,
          reload,
        }),
      ),
    ),
  );
}

globalThis.AirflowPlugin = SalesforcePage;
