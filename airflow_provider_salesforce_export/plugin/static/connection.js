/** A connection: the state of its key, and what can be done with it. */

import { api, logIn } from "./api.js";
import { Action, ApiUsage, Fact, Notice, Time } from "./parts.js";
import { Preview } from "./preview.js";

const { React, ChakraUI } = globalThis;
const { createElement: h, useEffect, useRef, useState } = React;
const {
  Badge, Box, Button, Card, Dialog, Flex, Heading, HStack, Portal, SimpleGrid, Stack, Text, VisuallyHidden,
} = ChakraUI;

const STATES = {
  connected: { label: "Connected", color: "success" },
  needs_login: { label: "Needs login", color: "warning" },
  never: { label: "Needs login", color: "gray" }, // nobody has logged in yet, or the key was deleted
  error: { label: "Error", color: "error" },
};

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

export function Connection({ row, isNamed, callbackUrl, load, reload }) {
  const card = useRef(null);
  const [busy, setBusy] = useState(null);
  const [notice, setNotice] = useState(null);
  const [tested, setTested] = useState(null);
  const [preview, setPreview] = useState(null);
  const [asking, setAsking] = useState(false);
  const refusal = refusals(row);
  const state = STATES[row.state] ?? STATES.error;
  const unknown = row.state === "connected" ? "…" : undefined;
  const isConnected = row.state === "connected" && !refusal.test;

  // What Salesforce alone knows is asked for once the page is there, so that an org that is away delays nothing.
  useEffect(() => {
    setTested(null);
    if (!isConnected) return undefined;
    let isGone = false;
    api
      .test(row.conn_id)
      .catch((error) => ({ works: false, message: error.message }))
      .then((result) => {
        if (isGone) return;
        setTested(result);
        if (!result.works) {
          setNotice({ status: "error", text: result.message });
          load(); // a key that Salesforce refuses is marked by the test
        }
      });
    return () => {
      isGone = true;
    };
  }, [row.conn_id, isConnected]);

  useEffect(() => {
    if (isNamed) card.current.scrollIntoView({ block: "nearest" });
  }, [isNamed]);

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
    await reload();
    return { status: result.works ? "success" : "error", text: result.message };
  });
  const disconnect = run("disconnect", async () => {
    const result = await api.disconnect(row.conn_id);
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
    {
      ref: card,
      as: "section",
      "aria-label": row.conn_id,
      "aria-current": isNamed || undefined,
      size: "sm",
      borderColor: isNamed ? "brand.solid" : undefined,
      boxShadow: isNamed ? "0 0 0 1px var(--shadow-color)" : undefined,
      boxShadowColor: "brand.solid",
    },
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
          { as: "dl", gridTemplateColumns: "repeat(auto-fill, minmax(min(14rem, 100%), 1fr))", gap: 3 },
          h(Fact, { name: "Org" }, tested ? tested.org_id : unknown),
          h(Fact, { name: "User" }, tested ? tested.user : unknown),
          h(Fact, { name: "Instance" }, row.instance_url),
          h(Fact, { name: "Login host" }, row.login_url),
          h(Fact, { name: "Connected by" }, row.connected_by),
          h(Fact, { name: "Token issued" }, row.issued_at && h(Time, { at: row.issued_at })),
          h(Fact, { name: "Last renewed" }, row.updated_at && h(Time, { at: row.updated_at })),
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
