/** Refuses to publish a package that is not ready: `npm publish` runs this first. See CONTRIBUTING.md. */

import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const folder = new URL("..", import.meta.url)

/** What must be mended before a release, in sentences. */
export function obstacles({ manifest, changelog }) {
  const found = []
  const { repository, version } = manifest
  const url = typeof repository === "string" ? repository : repository?.url
  if (url === undefined || url === "") {
    found.push("package.json must name the public `repository`: npm proves in which repository the package was built.")
  }
  const heading = changelog.split("\n").find((line) => line.startsWith(`## [${version}]`))
  if (heading === undefined) found.push(`CHANGELOG.md must have a section for version ${version}.`)
  else if (!/ - \d{4}-\d\d-\d\d$/.test(heading))
    found.push(`CHANGELOG.md must have a date for version ${version}; got "${heading}".`)
  return found
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const manifest = JSON.parse(readFileSync(new URL("package.json", folder), "utf8"))
  const changelog = readFileSync(new URL("CHANGELOG.md", folder), "utf8")
  const found = obstacles({ manifest, changelog })
  for (const obstacle of found) console.error(obstacle)
  process.exitCode = found.length === 0 ? 0 : 1
}
