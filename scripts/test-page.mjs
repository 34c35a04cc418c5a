/**
 * Runs the tests of the page that shows a trace, in a real browser: Chromium, Chrome or Edge, as `AUXSTREAM_BROWSER` or the PATH
 * names it. `npm test` has all that can be tested without one.
 */

import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { delimiter, join } from "node:path"
import { filesBelow, node, say } from "./lib/project.mjs"
import { setUp } from "./lib/setup.mjs"

const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge"]
/** Where installers of macOS and Windows put them. */
const places = [
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
  "C:/Program Files/Google/Chrome/Application/chrome.exe",
  "C:/Program Files (x86)/Microsoft/Edge/Application/msedge.exe",
]

setUp()
const browser = findBrowser()
if (browser === undefined) {
  console.error(`Found no browser. Install Chromium or Chrome (on Debian: apt-get install chromium), or name one:
AUXSTREAM_BROWSER=/path/to/chromium npm run test:page`)
  process.exit(1)
}
const { stdout } = spawnSync(browser, ["--version"], { encoding: "utf8" })
say(`Testing the page in ${stdout?.trim() || browser}`)
const files = filesBelow("build/test").filter((path) => path.endsWith(".browser.js"))
const env = { ...process.env, AUXSTREAM_BROWSER: browser }
process.exitCode = node("--test", ["--test-reporter=spec", "--test-timeout=600000", ...files], { env })

/** The browser's program; undefined if there is none. */
function findBrowser() {
  const named = process.env.AUXSTREAM_BROWSER
  if (named) return named
  const folders = (process.env.PATH ?? "").split(delimiter)
  const files = names
    .flatMap((name) => [name, `${name}.exe`])
    .flatMap((name) => folders.map((folder) => join(folder, name)))
  return [...files, ...places].find((path) => existsSync(path))
}
