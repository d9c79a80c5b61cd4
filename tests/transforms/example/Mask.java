package example;

import org.apache.spark.sql.api.java.UDF1;

/** All but the last two characters become stars. */
public class Mask implements UDF1<String, String> {
    @Override
    public String call(String text) {
        if (text == null) {
            return null;
        }
        if (text.equals("refused")) {
            throw new IllegalArgumentException("cannot mask " + text);
        }
        int shown = Math.min(2, text.length());
        return "*".repeat(text.length() - shown) + text.substring(text.length() - shown);
    }
}
