// The viewer of a scan's page: NiiVue on one canvas, loaded when it comes into sight. Where WebGL2 is missing the pictures stay alone, and a sentence says so.
(() => {
  "use strict";
  const $ = (id) => document.getElementById(id);
  const place = $("viewer"), canvas = $("canvas"), tools = $("viewer-tools"), start = $("viewer-start");
  if (!place) return;
  const { labels: names, colours } = JSON.parse($("viewer-labels").textContent);
  const CORONAL = 1, SAGITTAL = 2, AXIAL = 0, TILE = 2 / 3, QUIET = 400, CROSSHAIR = { box: 0.07, head: 0.4 };
  const state = { viewer: null, volumes: null, shown: "box", labels: true, mirrored: false, opacity: 0.45 };

  const script = (address) => new Promise((done, failed) => {
    const element = document.createElement("script");
    element.src = address;
    element.onload = done;
    element.onerror = () => failed(new Error(`${address} is missing`));
    document.head.append(element);
  });

  const say = (text) => { start.hidden = !text; start.textContent = text; };

  // Half steps between voxels along one axis, by a cubic through four of them; the voxels themselves stay as they are.
  const between = (values, n, stride) => {
    const wide = 2 * n - 1, found = new Uint8ClampedArray((values.length / n) * wide);
    for (let block = 0, from = 0, to = 0; from < values.length; block++, from = block * n * stride, to = block * wide * stride) {
      for (let low = 0; low < stride; low++) {
        let first = values[from + low], one = first, other = values[from + low + stride];
        for (let index = 0; index < n - 1; index++) {
          const last = index < n - 2 ? values[from + low + (index + 2) * stride] : other;
          found[to + low + 2 * index * stride] = one;
          found[to + low + (2 * index + 1) * stride] = (9 * (one + other) - first - last) / 16;
          [first, one, other] = [one, other, last];
        }
        found[to + low + (wide - 1) * stride] = one;
      }
    }
    return found;
  };

  // The image on the grid of its labels: two steps a voxel, first voxel and last the same.
  const refine = (image) => {
    const size = [1, 2, 3].map((axis) => image.hdr.dims[axis]), wide = size.map((n) => 2 * n - 1);
    image.img = new Uint8Array(between(between(between(image.img, size[0], 1), size[1], wide[0]), size[2], wide[0] * wide[1]).buffer);
    wide.forEach((n, axis) => { image.hdr.dims[axis + 1] = n; image.hdr.pixDims[axis + 1] /= 2; });
    image.hdr.affine = image.hdr.affine.map((row, index) => (index < 3 ? [...row.slice(0, 3).map((value) => value / 2), row[3]] : row));
    image.calculateRAS();
    image.calMinMax();
  };

  const colourMap = () => {
    const rgb = colours.map((colour) => [1, 3, 5].map((from) => parseInt(colour.slice(from, from + 2), 16)));
    const channel = (index) => [0, ...rgb.map((colour) => colour[index])];
    return { R: channel(0), G: channel(1), B: channel(2), A: [0, ...rgb.map(() => 255)], I: names.map((_, index) => index), labels: names };
  };

  const load = async (which) => {
    const { image, labels, window: [black, white] } = state.volumes[which];
    const made = async (base64, name, options) => niivue.NVImage.loadFromBase64({ base64, name: `${name}.nii.gz`, ...options });
    const grey = await made(image, "image", { colormap: "gray", cal_min: black, cal_max: white });
    const coloured = await made(labels, "labels", { opacity: state.labels ? state.opacity : 0 });
    if (coloured.hdr.dims[1] !== grey.hdr.dims[1]) refine(grey);
    grey.cal_min = black;
    grey.cal_max = white;
    coloured.setColormapLabel(colourMap());
    return [grey, coloured];
  };

  // One context for the life of the page: volumes are exchanged.
  const show = async (which) => {
    const { viewer } = state, made = await load(which);
    viewer.volumes = made; // at once: adding one by one would draw all textures anew each time
    [viewer.back, ...viewer.overlays] = made;
    viewer.opts.crosshairWidth = CROSSHAIR[which];
    viewer.updateGLVolume();
    state.shown = which;
    centre();
  };

  const centre = () => {
    const { viewer, volumes, shown } = state;
    viewer.scene.pan2Dxyzmm = [0, 0, 0, 1];
    viewer.scene.crosshairPos = viewer.mm2frac(volumes[shown].centre, 0, true);
    viewer.createOnLocationChange();
    viewer.drawScene();
  };

  const layout = () => {
    const wide = place.clientWidth > place.clientHeight;
    const tiles = wide
      ? [[CORONAL, [0, 0, TILE, 1]], [SAGITTAL, [TILE, 0, 1 - TILE, 0.5]], [AXIAL, [TILE, 0.5, 1 - TILE, 0.5]]]
      : [[CORONAL, [0, 0, 1, TILE]], [SAGITTAL, [0, TILE, 0.5, 1 - TILE]], [AXIAL, [0.5, TILE, 0.5, 1 - TILE]]];
    state.viewer.setCustomLayout(tiles.map(([sliceType, position]) => ({ sliceType, position })));
  };

  const located = ({ mm, values }) => {
    const label = Math.round(values.length > 1 ? values[1].value : 0), [x, y, z] = Array.from(mm, (value) => value.toFixed(1).replace("-", "−"));
    const swatch = document.createElement("span");
    swatch.className = `swatch ${label > 10 ? "icv" : `subunit-${((label - 1) % 5) + 1}`}`;
    swatch.hidden = !label;
    const name = document.createElement("strong");
    name.append(swatch, names[label] || names[0]);
    $("here").replaceChildren(name, `x ${x}, y ${y}, z ${z} mm`);
    $("here").dataset.label = label;
  };

  const opacity = () => state.viewer.setOpacity(1, state.labels ? state.opacity : 0);
  const press = (id, on) => $(id) && $(id).setAttribute("aria-pressed", String(on));
  const convention = () => {
    $("convention").textContent = state.mirrored
      ? "The left of the head is on the right (radiological convention)."
      : "The left of the head is on the left (neurological convention).";
  };
  const turn = (name, id, act) => () => { state[name] = !state[name]; press(id, state[name]); act(); };
  const actions = {
    labels: turn("labels", "labels", opacity),
    centre,
    mirror: turn("mirrored", "mirror", () => { state.viewer.setRadiologicalConvention(state.mirrored); convention(); }),
    head: async () => {
      $("head").disabled = true;
      await show(state.shown === "box" ? "head" : "box");
      $("head").disabled = false;
      press("head", state.shown === "head");
    },
  };

  const MOVES = { ArrowLeft: [-1, 0, 0], ArrowRight: [1, 0, 0], ArrowUp: [0, 0, 1], ArrowDown: [0, 0, -1], PageUp: [0, 1, 0], PageDown: [0, -1, 0] };
  const keys = (event) => {
    const move = MOVES[event.key];
    if (!move || !state.viewer?.volumes?.length || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    event.stopImmediatePropagation(); // NiiVue and the page have other uses for these keys
    state.viewer.moveCrosshairInVox(...(state.mirrored ? [-move[0], move[1], move[2]] : move));
  };

  const open = async () => {
    if (state.viewer) return;
    state.viewer = {};
    say("The viewer is being loaded …");
    try {
      await script(place.dataset.volumes);
      await script(place.dataset.library);
      state.volumes = globalThis.hypojaxViewer;
      const viewer = new niivue.Niivue({
        logLevel: "silent", dragAndDropEnabled: false, loadingText: "", backColor: [0, 0, 0, 1], crosshairColor: [1, 1, 1, 0.75],
        crosshairWidthUnit: "mm", crosshairGap: 1.5, fontColor: [1, 1, 1, 1], fontMinPx: 15, fontSizeScaling: 0,
        isColorbar: false, isRuler: false, multiplanarShowRender: 0, tileMargin: 2, scrollRequiresFocus: true, viewModeHotKey: "",
        clipPlaneHotKey: "", cycleClipPlaneHotKey: "", showLegend: false, isAntiAlias: true,
      });
      await viewer.attachToCanvas(canvas, true);
      if (!viewer.gl) throw new Error("no WebGL2");
      state.viewer = viewer;
      viewer.onLocationChange = located;
      await show("box");
      layout();
      new ResizeObserver(layout).observe(place);
      say("");
      tools.hidden = false;
      place.dataset.ready = "true";
      convention();
    } catch (error) {
      canvas.hidden = true;
      place.dataset.ready = "failed";
      say(`The viewer needs WebGL2, which this browser does not offer here; the pictures above show the same sections. (${error.message})`);
    }
  };

  for (const [id, act] of Object.entries(actions)) $(id)?.addEventListener("click", act);
  $("labels-opacity").addEventListener("input", (event) => { state.opacity = Number(event.target.value); opacity(); });
  document.addEventListener("outlines", (event) => {
    if (place.dataset.ready === "true" && state.labels !== event.detail.shown) actions.labels();
  });
  canvas.addEventListener("keydown", keys, true);
  $("viewer-open").addEventListener("click", open);
  // Loaded once it is looked at: who goes through scans quickly with the arrow keys does not wait for it.
  let waiting = 0;
  new IntersectionObserver(([{ isIntersecting }]) => {
    clearTimeout(waiting);
    if (isIntersecting) waiting = setTimeout(open, QUIET);
  }, { threshold: 0.25 }).observe(place);
  globalThis.hypojaxViewerState = state;
})();
