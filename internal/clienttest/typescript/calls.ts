// Calls the server of package clienttest with a client that openapi-typescript
// made from its description. That this file compiles shows that the types are
// right; that it runs, that they are true.
import assert from "node:assert/strict";

import createClient from "openapi-fetch";

import type { components, paths } from "./api.js";

const [server, token] = process.argv.slice(2);
const headers = { Authorization: `Bearer ${token}` };
const client = createClient<paths>({ baseUrl: server + "/api", headers });
const stranger = createClient<paths>({ baseUrl: server + "/api" });

type NewThing = components["schemas"]["NewThing"];
type Thing = components["schemas"]["Thing"];

const lamp: NewThing = {
	name: "Lamp",
	basics: {
		bool: true, int: -1, int8: -8, int16: -16, int32: -32, int64: -64, uint: 1, uint8: 8, uint16: 16, uint32: 4294967295, uint64: 64,
		float32: 0.5, float64: 1e300, string: "ü\u2028", quoted: "9007199254740993",
	},
	colour: "red", count: 3, grade: 2, note: null, label: { label: "x" }, box: { width: 1.5, height: 2 }, tags: ["a", "b"],
	lists: [[1, 2], []], fixed: [1, 2, 3], attrs: { key: "value" }, sizes: { small: { width: 1, height: 1 }, none: null },
	root: { name: "root", parts: [{ name: "leaf", parts: [] }], spare: { name: "spare" } },
	wait: 1_000_000_000, data: "AAEC", address: "192.0.2.1", extra: { any: ["thing"] }, owner: "9007199254740993", email: "a@example.com",
	range: { first: 1, second: 2 }, samples: [{ first: "x", second: { label: "y" } }], inline: { on: true },
};

// must returns the data of a call that has to succeed.
function must<T>(result: { data?: T; error?: unknown; response: Response }): T {
	assert.ok(result.response.ok, `${result.response.status} ${JSON.stringify(result.error)}`);
	return result.data as T;
}

async function creates(): Promise<Thing> {
	const call = () => client.POST("/things", { body: lamp, params: { header: { "Idempotency-Key": "first" } } });
	const created = await call();
	const thing: Thing = must(created);
	assert.equal(created.response.status, 201);
	assert.equal(created.response.headers.get("Location"), `/api/things/${thing.id}`);
	const { id, version, createdAt, updatedAt, ...rest } = thing;
	assert.deepEqual(rest, { ...lamp, root: { name: "root", parts: [{ name: "leaf" }], spare: { name: "spare" } } });
	assert.equal(version, 1);
	assert.equal(createdAt, "2026-02-03T04:05:06Z");
	assert.equal(updatedAt, null);
	const again = await call();
	assert.equal(must(again).id, id);
	assert.equal(again.response.headers.get("Idempotency-Replayed"), "true");
	return thing;
}

async function reads(thing: Thing) {
	const params = { path: { id: thing.id } };
	const found = await stranger.GET("/things/{id}", { params });
	assert.deepEqual(must(found), thing);
	const tag = found.response.headers.get("ETag");
	assert.ok(tag);
	const kept = await stranger.GET("/things/{id}", { params, headers: { "If-None-Match": tag } });
	assert.equal(kept.response.status, 304);
	const missing = await stranger.GET("/things/{id}", { params: { path: { id: "404" } } });
	assert.equal(missing.error?.status, 404);
	assert.equal(missing.error?.code, "not_found");
	const file = must(await stranger.GET("/things/{id}/files/{path}", { params: { path: { id: "1", path: "a.txt" } } }));
	assert.deepEqual(file, { id: "1", path: "a.txt" });
}

async function lists() {
	for (const name of ["Box", "Bowl", "Table"]) {
		must(await client.POST("/things", { body: { ...lamp, name, colour: "blue" } }));
	}
	const names: string[] = [];
	let after: string | undefined;
	let pages = 0;
	do {
		const query = { limit: 2, colours: ["blue" as const, "green" as const], search: "B", ids: ["1", "2", "3"], ...(after && { after }) };
		const listed = await stranger.GET("/things", { params: { query, header: { "X-Tenant": "a" }, cookie: { theme: "dark" } } });
		const page = must(listed);
		names.push(...page.items.map((item) => item.name));
		assert.equal(listed.response.headers.get("Link") !== null, page.next !== undefined);
		after = page.next;
		pages++;
	} while (after);
	assert.deepEqual(names, ["Box", "Bowl"]);
	assert.equal(pages, 2);
}

async function changes(thing: Thing) {
	const params = { path: { id: thing.id } };
	const noted = must(await client.PATCH("/things/{id}", { params, body: { note: "bright", box: { width: 3, height: 3 } } }));
	assert.equal(noted.note, "bright");
	assert.equal(noted.box.width, 3);
	const cleared = must(await client.PATCH("/things/{id}", { params, body: { note: null } }));
	assert.equal(cleared.note, null);
	assert.equal(cleared.name, "Lamp");
	assert.equal(cleared.box.width, 3);
	assert.equal(cleared.maker, undefined);
	await client.PATCH("/things/{id}", { params, body: { note: "made" } });
	const made = must(await client.GET("/things/{id}", { params: { ...params, query: { include: ["maker", "maker.homes"] } } }));
	assert.equal(made.maker?.name, "Ann");
	assert.deepEqual(made.maker?.homes, ["Ulm"]);
	const unmade = must(await client.PATCH("/things/{id}", { params: { ...params, query: { include: ["maker.homes"] } }, body: { note: null } }));
	assert.equal(unmade.maker, null);
	// @ts-expect-error a relation that there is not does not compile
	const owner = await client.GET("/things/{id}", { params: { ...params, query: { include: ["owner"] } } });
	assert.equal(owner.response.status, 422);
	assert.deepEqual(must(await client.PUT("/things/{id}/attrs", { params, body: { a: "b" } })), { a: "b" });
}

async function fails() {
	const invalid = await client.POST("/things", { body: { ...lamp, name: "", box: { width: -1, height: 1 } } });
	assert.equal(invalid.error?.status, 422);
	assert.deepEqual(invalid.error?.errors?.map((field) => field.pointer).sort(), ["/box/width", "/name"]);
	const nobody = await stranger.POST("/things", { body: lamp });
	assert.equal(nobody.error?.code, "unauthenticated");
	// @ts-expect-error what the server would refuse does not compile
	const mistyped = await client.PATCH("/things/{id}", { params: { path: { id: "1" } }, body: { name: 5 } });
	assert.equal(mistyped.response.status, 422);
	// @ts-expect-error nor does a colour that there is not
	const colour = await stranger.GET("/things", { params: { query: { colours: ["pink"] } } });
	assert.equal(colour.response.status, 422);
}

async function removes(thing: Thing) {
	const path = { id: thing.id };
	const current = await client.GET("/things/{id}", { params: { path } });
	const stale = await client.DELETE("/things/{id}", { params: { path, header: { "If-Match": '"old"' } } });
	assert.equal(stale.error?.status, 412);
	const removed = await client.DELETE("/things/{id}", { params: { path, header: { "If-Match": current.response.headers.get("ETag") ?? "" } } });
	assert.equal(removed.response.status, 204);
}

async function others() {
	assert.deepEqual(must(await stranger.GET("/colours")), ["red", "green", "blue"]);
	assert.equal(must(await stranger.GET("/ping")), "pong");
	const old = await stranger.GET("/old/{id}", { params: { path: { id: "2" } } });
	assert.equal(old.response.headers.get("Deprecation"), "@1767225600");
	const unpaid = await client.POST("/payments", { body: { amount: 1 }, params: { header: { "Idempotency-Key": "pay" } } });
	assert.equal(unpaid.error?.status, 403);
}

async function settles() {
	const params = { path: { name: "ts" } };
	const created = await client.PUT("/settings/{name}", { params, body: { value: "a" } });
	assert.deepEqual(must(created), { name: "ts", value: "a" });
	assert.equal(created.response.status, 201);
	assert.equal(created.response.headers.get("X-Revision"), "1");
	assert.match(created.response.headers.get("Set-Cookie") ?? "", /^setting=ts;/);
	assert.equal((await client.PUT("/settings/{name}", { params, body: { value: "b" } })).response.status, 200);
	const emptied = await client.PUT("/settings/{name}", { params, body: { value: "" } });
	assert.equal(emptied.response.status, 204);
}

async function downloads() {
	const params = { path: { name: "a.csv" } };
	const report = await stranger.GET("/reports/{name}", { params, parseAs: "text" });
	assert.equal(must(report), "a,b\n1,2\n");
	assert.equal(report.response.headers.get("Content-Disposition"), 'attachment; filename="a.csv"');
	const part = await stranger.GET("/reports/{name}", { params: { ...params, header: { Range: "bytes=0-2" } }, parseAs: "text" });
	assert.equal(part.response.status, 206);
	assert.equal(must(part), "a,b");
	const blob = await client.GET("/blobs/{name}", { params: { path: { name: "a" } }, parseAs: "arrayBuffer" });
	assert.deepEqual([...new Uint8Array(must(blob))], [0, 0xff, 1]);
	const missing = await stranger.GET("/blobs/{name}", { params: { path: { name: "a" } }, parseAs: "blob" });
	assert.equal(missing.error?.code, "unauthenticated");
}

async function redirects() {
	const shown = await stranger.GET("/latest", { redirect: "manual" });
	assert.equal(shown.response.status, 302);
	assert.equal(shown.response.headers.get("Location"), "/api/reports/latest.csv");
	const followed = await stranger.GET("/latest", { parseAs: "text" });
	assert.equal(followed.response.status, 200);
	assert.equal(followed.response.headers.get("Content-Disposition"), 'attachment; filename="latest.csv"');
}

// urlencoded writes a form as HTML does: a list has its name once for each element.
function urlencoded(body: Record<string, unknown>): URLSearchParams {
	return new URLSearchParams(Object.entries(body).flatMap(([name, value]) => [value].flat().map((one) => [name, String(one)])));
}

// multipart writes a form with files.
function multipart(body: Record<string, unknown>): FormData {
	const form = new FormData();
	for (const [name, value] of Object.entries(body)) {
		[value].flat().forEach((one) => form.append(name, one instanceof Blob ? one : String(one)));
	}
	return form;
}

async function sendsForms(thing: Thing) {
	const params = { path: { thing: thing.id } };
	const body = { text: "Hi & bye", stars: 3, urgent: true, tags: ["a", "b"] };
	const headers = { "Content-Type": "application/x-www-form-urlencoded" };
	const written = await client.POST("/things/{thing}/messages", { params, body, bodySerializer: urlencoded, headers });
	assert.deepEqual(must(written), { thing: thing.id, ...body });
	const parts = await client.POST("/things/{thing}/messages", { params, body, bodySerializer: multipart });
	assert.deepEqual(must(parts), { thing: thing.id, ...body });
	const left = await stranger.POST("/messages", { body: { thing: thing.id, text: "Hi" }, bodySerializer: urlencoded, headers, redirect: "manual" });
	assert.equal(left.response.status, 303);
	assert.equal(left.response.headers.get("Location"), `/api/things/${thing.id}`);
}

// file returns a file as the types of openapi-typescript have it: as a string.
const file = (name: string, content: string | Uint8Array<ArrayBuffer>) => new File([content], name) as unknown as string;

async function uploads() {
	const png = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
	const body = { title: "Trip", cover: file("a.png", png), papers: [file("b.txt", "b"), file("c.txt", "c")] };
	const stored = must(await client.POST("/albums", { body, bodySerializer: multipart }));
	assert.equal(stored.title, "Trip");
	assert.deepEqual(stored.files?.slice(1), ['b.txt text/plain "b"', 'c.txt text/plain "c"']);
	const refused = await client.POST("/albums", { body: { ...body, cover: file("a.png", "text") }, bodySerializer: multipart });
	assert.equal(refused.error?.errors?.[0]?.pointer, "/cover");
}

async function turnsPages() {
	const first = must(await stranger.GET("/numbers"));
	assert.equal(first.total, 3);
	const squares: number[] = first.items.map((item) => item.square);
	assert.deepEqual(squares, [1, 4]);
	const second = must(await stranger.GET("/numbers", { params: { query: { page: 2, perPage: 2 } } }));
	assert.deepEqual(second.items, [{ n: 3, square: 9 }]);
}

const thing = await creates();
await reads(thing);
await lists();
await changes(thing);
await fails();
await settles();
await downloads();
await redirects();
await sendsForms(thing);
await uploads();
await turnsPages();
await removes(thing);
await others();
