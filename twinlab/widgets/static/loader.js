// What a view carries: it takes the player itself from the kernel's one copy (`Code`), once a page.
const players = (globalThis.twinlabPlayers ??= new Map());

async function load(model) {
  const code = await model.widget_manager.get_model(model.get("_code").slice("IPY_MODEL_".length));
  const stream = new Blob([code.get("packed")]).stream().pipeThrough(new DecompressionStream("gzip"));
  const text = await new Response(stream).text();
  const address = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
  try {
    return await import(address);
  } finally {
    URL.revokeObjectURL(address);
  }
}

async function render(context) {
  const version = context.model.get("_version");
  if (!players.has(version)) players.set(version, load(context.model));
  try {
    return (await players.get(version)).render(context);
  } catch (error) {
    players.delete(version);
    context.el.textContent = `The 3D view could not start (${error.message}). Run the cell again.`;
  }
}

export default { render };
