// A journey with the types that openapi-typescript makes, and openapi-fetch: prints what came of it.
import createClient from "openapi-fetch";
import type { components, paths, webhooks } from "./saga.d.ts";

type Message = webhooks["service.expired"]["post"]["requestBody"]["content"]["application/json"];
// What a receiver reads of a message: a literal, and the fields of its type.
export const lastHeartbeat = (message: Message): string => {
  const kind: "service.expired" = message.type;
  return `${kind} ${message.data.last_heartbeat} ${message.data.event_id}`;
};
// Of any event: the literal tells which one it is.
export const urlOf = (event: components["schemas"]["Event"]): string[] =>
  event.type === "service.registered" ? [event.data.service_url] : [];

const name = "generated-typescript";
const client = createClient<paths>({
  baseUrl: process.env.SAGA_URL ?? "",
  headers: { Authorization: `Bearer ${process.env.SAGA_TOKEN ?? ""}` },
});
const path = { name };

function taken<T>(answer: { data?: T; error?: unknown }): T {
  if (answer.data === undefined) throw new Error(JSON.stringify(answer.error));
  return answer.data;
}

taken(
  await client.POST("/api/v1/services/register", {
    body: { service_name: name, service_url: "http://127.0.0.1:9101" },
  }),
);
const renewed = taken(
  await client.POST("/api/v1/services/{name}/heartbeat", { params: { path }, body: {} }),
);
const found = taken(await client.GET("/api/v1/services/{name}", { params: { path } }));
const subscription = taken(
  await client.POST("/api/v1/subscriptions", {
    body: {
      service_name: name,
      subscriber: "journey",
      callback_url: "http://127.0.0.1:9/hook",
      topics: ["service.*"],
      state: "active",
    },
  }),
);
const listed = taken(
  await client.GET("/api/v1/subscriptions", { params: { query: { service: name } } }),
);
taken(
  await client.DELETE("/api/v1/subscriptions/{subscription_id}", {
    params: { path: { subscription_id: subscription.id } },
  }),
);
const selection = { service: [name], type: ["service.registered"], wait: "30" };
const page = taken(await client.GET("/api/v1/events", { params: { query: selection } }));
taken(await client.DELETE("/api/v1/services/{name}", { params: { path } }));
const gone = await client.GET("/api/v1/services/{name}", { params: { path } });

console.log(
  JSON.stringify({
    url: found.service_url,
    ttl: renewed.ttl,
    subscriptions: listed.total,
    has_secret: Boolean(subscription.secret),
    urls_of_events: page.events.flatMap(urlOf),
    afterwards: gone.error?.error,
  }),
);
