/** Small parts of the page. */

const { React, ChakraUI } = globalThis;
const { createElement: h, useId } = React;
const { Alert, Box, Button, Flex, Portal, Progress, Spinner, Text, Tooltip, VisuallyHidden } = ChakraUI;

export const number = (value) => value.toLocaleString("en");

function ago(date) {
  const seconds = (date - Date.now()) / 1000;
  const units = [["day", 86_400], ["hour", 3_600], ["minute", 60]];
  const [unit, size] = units.find(([, length]) => Math.abs(seconds) >= length) ?? ["second", 1];
  return new Intl.RelativeTimeFormat("en", { numeric: "auto" }).format(Math.trunc(seconds / size), unit);
}

export function Time({ at }) {
  const date = new Date(at);
  const exact = date.toLocaleString("en", { dateStyle: "medium", timeStyle: "long" });
  return h("time", { dateTime: at, title: exact }, ago(date));
}

/** A button that stays in the order of focus when it may not be pressed, so that everybody learns the reason. */
export function Action({ label, refusal, busy, onClick, ...style }) {
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

export function Notice({ status, title, children, ...more }) {
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

/** A name and its value; nothing where that is not known. */
export function Fact({ name, children }) {
  if (children === null || children === undefined) return null;
  return h(
    Box,
    { minW: 0 },
    h(Text, { as: "dt", color: "fg.muted", fontSize: "xs" }, name),
    h(Text, { as: "dd", fontSize: "sm", overflowWrap: "anywhere" }, children),
  );
}

export function ApiUsage({ usage }) {
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
    h(Progress.Track, { "aria-label": "API calls today" }, h(Progress.Range)),
  );
}
