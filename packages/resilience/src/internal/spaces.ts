/**
 * The names of spaces in a store.
 */

const escaped = (name: string): string => name.replaceAll("~", "~0").replaceAll("/", "~1")

/**
 * The space `name` of a policy, in a service. A policy of a service's own field is known by the service alone; one of
 * `policies` by its label too. No two policies of two services have one space.
 */
export const spaceIn = (service: string, label: string, kind: string, name: string): string =>
  label === kind ? `${service}/${escaped(name)}` : spaceUnder(service, label, name)

/** The space `name` of a policy that is known by its label in any case: what a field has is named by the field's policy. */
export const spaceUnder = (service: string, label: string, name: string): string =>
  `${service}/${escaped(label)}~2${escaped(name)}`
