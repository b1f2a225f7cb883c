// What the built bundle exports, for the harness.
declare module "*/static/widget.js" {
  import type { DashboardModel } from "../src/transport";
  const create: () => {
    initialize(context: { model: DashboardModel }): () => void;
    render(context: { model: DashboardModel; el: HTMLElement }): () => void;
  };
  export default create;
}

declare module "*/static/records.js" {
  import type { DashboardModel } from "../src/transport";
  const view: { render(context: { model: DashboardModel; el: HTMLElement }): () => void };
  export default view;
}
