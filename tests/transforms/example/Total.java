package example;

import org.apache.spark.sql.api.java.UDF2;

/** A price times a number. */
public class Total implements UDF2<Double, Long, Double> {
    @Override
    public Double call(Double price, Long number) {
        return price == null || number == null ? null : price * number;
    }
}
