// Browsers start no worker from a file:// page. This stands in for the one of the search: it runs in a hidden frame, so
// that the site can be searched from a folder. The theme would else fetch such a script from a server, and it knows by
// the name of this file that there is one.
class IFrameWorker extends EventTarget {
  constructor(url) {
    super();
    const frame = document.body.appendChild(Object.assign(document.createElement("iframe"), {hidden: true}));
    this.inner = frame.contentWindow;
    this.inner.document.open();
    this.inner.document.write("<!doctype html><title>search</title><body></body>");
    this.inner.document.close();
    this.inner.postMessage = (data) => {
      const event = new MessageEvent("message", {data});
      this.onmessage?.(event);
      this.dispatchEvent(event);
    };
    this.inner.importScripts = async (...urls) => {
      for (const each of urls) await this.load(each);
    };
    this.ready = this.load(url);
  }

  load(url) {
    return new Promise((resolve, reject) => {
      const script = this.inner.document.createElement("script");
      Object.assign(script, {src: new URL(url, location.href).href, onload: resolve, onerror: reject});
      this.inner.document.body.append(script);
    });
  }

  postMessage(data) {
    this.ready.then(() => this.inner.dispatchEvent(new this.inner.MessageEvent("message", {data})));
  }
}

if (location.protocol === "file:") Object.assign(window, {Worker: IFrameWorker, IFrameWorker});
