import type { Layout, Primitive } from "./layout.js"

/** A parsed parameter or field as it is written in a signature. */
export function parameterText(parameter: Primitive | Layout): string {
  if (!("kind" in parameter) || parameter.kind === "primitive") {
    const { dtype, access } = parameter
    return access === undefined ? dtype : `${access} ${dtype}*`
  }
  switch (parameter.kind) {
    case "opaque":
      return `{ bytes: ${parameter.byteLength}, align: ${parameter.align} }`
    case "array":
      return `[${parameterText(parameter.element)}, ${parameter.length}]`
    case "struct": {
      const fields = parameter.fields.map(({ name, layout }) => `${name}: ${parameterText(layout)}`).join(", ")
      return `{ struct: { ${fields} }${parameter.leastAlign === 1 ? "" : `, align: ${parameter.leastAlign}`} }`
    }
  }
}
