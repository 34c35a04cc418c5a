/** Finding and making elements. Text is always set as text, never as HTML, because names come from the traced program. */

/** The element of the page with this id. */
export function byId<E extends HTMLElement>(id: string, type: new () => E): E {
  const found = document.getElementById(id)
  if (!(found instanceof type)) throw new Error(`The page has no ${type.name} "${id}".`)
  return found
}

/** Makes an element with a class and children; strings become text. */
export function make<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  className: string,
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[Name] {
  const element = document.createElement(name)
  if (className !== "") element.className = className
  element.append(...children)
  return element
}

/** Makes a button. */
export function makeButton(text: string, className: string, onClick: () => void): HTMLButtonElement {
  const button = make("button", className, text)
  button.type = "button"
  button.addEventListener("click", onClick)
  return button
}
