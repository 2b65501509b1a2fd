// Drives Debian's Chromium over the admin page, as people use it and as others might abuse it.
//
// usage: browse.js PLAN.json, where main.rs has written what is where; every fault is a line on standard
// error, and their number the exit code.

"use strict";

const fs = require("node:fs");
const http = require("node:http");
const path = require("node:path");
const { chromium } = require("playwright-core");
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const plan = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const LOOKS = ["light", "dark"];
const SIZES = { phone: { width: 360, height: 740 }, desktop: { width: 1280, height: 900 } };

// What every page must hold in every look and at every size.
const PAGES = [
  { name: "fleet", at: "/" },
  { name: "domains", at: "/domains" },
  { name: "search", at: "/domains?q=d1&mode=enforce&state=" },
  { name: "nothing-found", at: "/domains?q=%3Cscript%3Ealert(3)%3C%2Fscript%3E" },
  { name: "domain", at: `/domains/${plan.domain}` },
  { name: "hostile", at: `/domains/${plan.hostile}` },
  { name: "unknown", at: "/domains/unknown.example", status: 404 },
  { name: "not-found", at: "/nowhere", status: 404 },
  { name: "login", at: "/login" },
];

// Long enough for anything on a busy machine; waiting ends as soon as the condition holds.
const PATIENCE = 120_000;

const faults = [];
function check(holds, what) {
  if (!holds) faults.push(what);
}

async function open(browser, options) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(PATIENCE);
  return context;
}

// Loads the page anew until it says all of `parts`.
async function saysInTime(page, parts) {
  const begun = Date.now();
  for (;;) {
    const said = (await page.locator("main").innerText()).toLowerCase();
    const missing = parts.filter((part) => !said.includes(part.toLowerCase()));
    if (missing.length === 0) return;
    if (Date.now() - begun > PATIENCE) throw new Error(`${page.url()} does not say ${JSON.stringify(missing)}:\n${said}`);
    await page.reload();
  }
}

// Notes what a browser complains about; a page that is meant to say no is told of once.
function listen(page, where, mayFail = false) {
  page.on("console", (message) => {
    const expected = mayFail && message.text().includes("Failed to load resource");
    if (["error", "warning"].includes(message.type()) && !expected) faults.push(`${where()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => faults.push(`${where()}: ${error}`));
  page.on("dialog", (dialog) => {
    faults.push(`${where()}: a stranger's script ran: ${dialog.message()}`);
    dialog.dismiss();
  });
}

async function logIn(context, url, token) {
  const page = await context.newPage();
  await page.goto(`${url}/`);
  check(page.url() === `${url}/login`, `who has not logged in is led to ${page.url()}`);
  await page.getByLabel("Token").fill("not the token at all");
  await page.getByRole("button", { name: "Log in" }).click();
  check(await page.getByRole("alert").isVisible(), "a wrong token is not told of");
  await page.getByLabel("Token").fill(token);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("heading", { name: "Fleet", level: 1 }).waitFor();
  return page;
}

// Everything that people do here, without a single script.
async function walkWithoutScripts(browser) {
  const context = await open(browser, { javaScriptEnabled: false });
  const page = await logIn(context, plan.url, plan.token);
  // Buttons that are pressed too often are answered with 429, which a browser notes.
  listen(page, () => `without scripts, ${page.url()}`, true);
  const [cookie] = await context.cookies();
  check(cookie.httpOnly && cookie.sameSite === "Strict", `the cookie is ${JSON.stringify(cookie)}`);

  await saysInTime(page, [`${plan.domains} domains served`, "refused in part", ...plan.refused]);
  await page.getByRole("link", { name: "enforce" }).click();
  await page.getByText(`${plan.enforce} found`).waitFor();
  await page.getByRole("link", { name: "Domains" }).click();
  await page.getByRole("link", { name: "Next page" }).click();
  check((await page.locator("tbody tr").count()) === 100, "a page of the list has 100 domains");
  await page.getByLabel("Part of the name").fill(plan.domain);
  await page.getByRole("button", { name: "Show" }).click();
  await page.getByRole("link", { name: plan.domain, exact: true }).click();
  await page.getByRole("heading", { name: plan.domain, level: 1 }).waitFor();
  check((await page.getByLabel("Policy as served").innerText()).includes("version: STSv1"), "no policy is shown");
  check((await page.locator("ol.timeline").innerText()).includes("a certificate began"), "no certificate is told of");

  await page.getByRole("button", { name: "Check now" }).click();
  await page.getByText("Checked. Answers of slow").waitFor();
  await page.getByRole("button", { name: "Check now" }).click();
  await page.getByText("ask again in").waitFor();
  await page.getByRole("link", { name: "Back to the domain" }).click();
  // Whatever the name servers' pace, the answers come in.
  await saysInTime(page, ["as expected", "mx1.elsewhere.example", "not in the policy", "The policy does not allow a mail host"]);

  await page.getByRole("button", { name: "Renew now" }).click();
  await page.getByText("The certificate is due at once").waitFor();
  await page.getByRole("button", { name: "Renew now" }).click();
  await page.getByText("Try again in").waitFor();

  // The page has to have been looked at for its hostile records to be shown.
  await page.goto(`${plan.url}/domains/${plan.hostile}`);
  await page.getByRole("button", { name: "Check now" }).click();
  await page.getByText("Checked. Answers of slow").waitFor();
  await saysInTime(page, ["<script>alert(1)", "<script>alert(2)", "The policy allows none of the mail hosts"]);
  const state = await context.storageState();
  await context.close();
  return state;
}

// Every page in every look: nothing scrolls sideways, axe finds nothing, the browser complains of nothing.
async function look(browser, storageState) {
  for (const colorScheme of LOOKS) {
    for (const [size, viewport] of Object.entries(SIZES)) {
      const context = await open(browser, { storageState, colorScheme, viewport });
      for (const { name, at, status = 200 } of PAGES) {
        const where = `${name}, ${colorScheme}, ${size}`;
        const page = await context.newPage();
        listen(page, () => where, status !== 200);
        const answer = await page.goto(`${plan.url}${at}`);
        check(answer.status() === status, `${where}: status ${answer.status()}`);
        const [wide, narrow] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
        check(wide <= narrow, `${where}: ${wide} wide in a window of ${narrow}`);
        await page.evaluate(axe);
        const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
        for (const { id, nodes } of violations) {
          faults.push(`${where}: axe: ${id}: ${nodes.map((node) => `${node.html} ${node.failureSummary}`).join("; ")}`);
        }
        const scripts = await page.locator("script, [onerror], [onload], iframe").count();
        check(scripts === 0, `${where}: ${scripts} elements that may run something`);
        await page.screenshot({ path: path.join(plan.pictures, `${name}-${size}-${colorScheme}.png`), fullPage: true });
        await page.close();
      }
      await context.close();
    }
  }
}

// Serves a page of somebody else's whose only form is sent to ours, and sends it by itself.
function stranger(action) {
  const html = `<form method="post" action="${action}"><input name="csrf" value="guess"></form><script>document.forms[0].submit()</script>`;
  const server = http.createServer((_, answer) => answer.setHeader("content-type", "text/html").end(html));
  return new Promise((ready) => server.listen(0, "127.0.0.1", () => ready(server)));
}

async function refuseStrangers(browser, storageState) {
  const context = await open(browser, { storageState });
  const action = `${plan.url}/domains/${plan.untouched}/renew`;
  const server = await stranger(action);
  const { port } = server.address();
  // The first is of another site; the second of the same one, with our cookie, and of another origin.
  for (const host of ["localhost", "127.0.0.1"]) {
    const page = await context.newPage();
    const sent = page.waitForResponse((answer) => answer.url() === action);
    await page.goto(`http://${host}:${port}/`);
    const answer = await sent;
    check(answer.status() === 403, `a form sent from ${host} is answered with ${answer.status()}`);
    await page.close();
  }
  server.close();
  const page = await context.newPage();
  await page.goto(`${plan.url}/domains/${plan.untouched}`);
  await page.evaluate(() => { document.querySelector('form[action$="/renew"] input').value = "guess"; });
  await page.getByRole("button", { name: "Renew now" }).click();
  await page.getByText("not of this session").waitFor();
  const renewed = (await page.goto(`${plan.url}/domains/${plan.untouched}`)) && (await page.locator("main").innerText());
  check(!renewed.includes("due at once"), "a stranger's form renewed a certificate");
  // A name that a stranger points here.
  const { port: ours } = new URL(plan.url);
  const rebound = await page.goto(`http://evil.example:${ours}/`);
  check(rebound.status() === 421, `asked for by a stranger's name it answers ${rebound.status()}`);
  await context.close();
}

async function overTls(browser) {
  const context = await open(browser, { ignoreHTTPSErrors: true, javaScriptEnabled: false });
  const page = await logIn(context, plan.tlsUrl, plan.token);
  const [cookie] = await context.cookies();
  check(cookie.secure && cookie.name.startsWith("__Host-"), `over TLS the cookie is ${JSON.stringify(cookie)}`);
  await page.getByRole("button", { name: "Log out" }).click();
  await page.waitForURL(`${plan.tlsUrl}/login`);
  check((await context.cookies()).length === 0, "the cookie stays after logging out");
  await page.goto(`${plan.tlsUrl}/domains`);
  check(page.url().endsWith("/login"), "who has logged out may still look");
  await context.close();
}

// The pictures of the documentation: what fits into a window, small.
async function picture(browser, storageState) {
  const pictures = [
    ["admin-fleet", "/", "desktop", "light"],
    ["admin-domain", `/domains/${plan.domain}`, "desktop", "light"],
    ["admin-phone", "/", "phone", "dark"],
  ];
  for (const [name, at, size, colorScheme] of pictures) {
    const context = await open(browser, { storageState, colorScheme, viewport: SIZES[size] });
    const page = await context.newPage();
    await page.goto(`${plan.url}${at}`);
    await page.screenshot({ path: path.join(plan.pictures, `${name}.png`) });
    await context.close();
  }
}

async function main() {
  const browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--host-resolver-rules=MAP evil.example 127.0.0.1"],
  });
  try {
    const state = await walkWithoutScripts(browser);
    await look(browser, state);
    await refuseStrangers(browser, state);
    await overTls(browser);
    await picture(browser, state);
  } finally {
    await browser.close();
  }
}

main()
  .catch((error) => faults.push(error.stack))
  .then(() => {
    for (const fault of faults) console.error(fault);
    process.exitCode = Math.min(faults.length, 99);
  });
