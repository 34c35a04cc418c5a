/** The panel of the selection: what it is, and what belongs to it, as buttons. Screen readers announce it when it changes. */

import { describe, nameOfStream } from "../../layout/text/describe.js"
import type { Item } from "../../layout/search.js"
import type { Actions } from "../actions.js"
import { byId, make, makeButton } from "../dom.js"
import type { Model } from "../model.js"
import type { Store } from "../state.js"

const HINT = "Select an operation or a fork-join to see what it waited for. Press ? for the keys."

export class Details {
  readonly #model: Model
  readonly #actions: Actions
  readonly #panel = byId("details", HTMLElement)

  constructor(model: Model, store: Store, actions: Actions) {
    this.#model = model
    this.#actions = actions
    store.listen((state, before) => {
      if (state.selection !== before.selection) this.#show(state.selection)
    })
    this.#show(undefined)
  }

  #show(item: Item | undefined): void {
    if (item === undefined) {
      this.#panel.replaceChildren(make("p", "hint", HINT))
      return
    }
    const { title, subtitle, facts } = describe(this.#model.data, item, this.#model.figures)
    const list = make("dl", "facts")
    for (const [name, value] of facts) list.append(make("div", "", make("dt", "", name), make("dd", "", value)))
    const heading = make("h2", "", title, " ", make("small", "", subtitle))
    const links =
      item.kind === "span"
        ? this.#linksOfSpan(item.index)
        : item.kind === "region"
          ? this.#linksOfRegion(item.index)
          : []
    this.#panel.replaceChildren(heading, list, make("p", "links", ...links))
  }

  #linksOfSpan(index: number): Node[] {
    const { spans, waits } = this.#model.data
    const { before, after, waitedFor, waitedBy } = this.#model.relations.of(index)
    const { parent, region } = spans[index] ?? {}
    const links: (Node | undefined)[] = [
      this.#link("← before it", { kind: "span", index: before }),
      this.#link("after it →", { kind: "span", index: after }),
      this.#link("its graph", { kind: "span", index: parent }),
      this.#link("its fork-join", { kind: "region", index: region }),
    ]
    for (const wait of waitedFor) {
      const how = waits[wait]?.sent ? "waited for" : "waited (skipped) for"
      links.push(this.#link(how, { kind: "span", index: this.#model.relations.waitEnds[wait]?.from }, true))
    }
    for (const wait of waitedBy) {
      links.push(this.#link("awaited by", { kind: "span", index: this.#model.relations.waitEnds[wait]?.to }, true))
    }
    return links.filter((link) => link !== undefined)
  }

  #linksOfRegion(region: number): Node[] {
    const { spans, regions } = this.#model.data
    const own = [...spans.keys()].filter((index) => spans[index]?.region === region).slice(0, 20)
    const links = own.map((index) => this.#link("", { kind: "span", index }, true))
    const outer = this.#link("inside of", { kind: "region", index: regions[region]?.parent })
    return [outer, ...links].filter((link) => link !== undefined)
  }

  /** A button that selects an item; undefined if there is none. */
  #link(
    text: string,
    { kind, index }: { kind: Item["kind"]; index: number | undefined },
    withStream = false,
  ): Node | undefined {
    if (index === undefined) return undefined
    const { data } = this.#model
    const name = kind === "span" ? data.spans[index]?.name : data.regions[index]?.name
    const stream = withStream ? ` on ${nameOfStream(data, data.spans[index]?.stream ?? 0)}` : ""
    const button = makeButton("", "link", () => this.#actions.goTo({ kind, index }))
    button.append(make("span", "", `${text} `), make("b", "", name ?? ""), stream)
    return button
  }
}
