/** The calls of the page to the routes beside it, and what is said where they fail. */

const API = new URL("../", import.meta.url); // the routes lie above this folder
const PREVIEW_ROWS = 10;

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

export const api = {
  connections: (named) => request(named ? `connections?${new URLSearchParams({ conn_id: named })}` : "connections"),
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
export function logIn(connId) {
  const back = window.location.pathname + window.location.search;
  window.location.assign(new URL(`auth/login?${new URLSearchParams({ conn_id: connId, forward_url: back })}`, API));
}
